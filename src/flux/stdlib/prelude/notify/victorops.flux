import "http"
import "internal/notify"
import "json"

alert = (
    url,
    messageType,
    entityID="",
    entityDisplayName="",
    stateMessage="",
    timestamp=now(),
    monitoringTool="InfluxDB",
) => http.post(
    url: url,
    headers: {"Content-Type": "application/json"},
    data: json.encode(
        v: {
            message_type: messageType,
            entity_id: entityID,
            entity_display_name: entityDisplayName,
            state_message: stateMessage,
            state_start_time: uint(v: timestamp) / uint(v: 1000000000),
            monitoring_tool: monitoringTool,
        },
    ),
)

endpoint = (url, monitoringTool="InfluxDB") => notify.endpoint(
    send: (given) => alert(
        url: url,
        messageType: given.messageType,
        entityID: given.entityID,
        entityDisplayName: given.entityDisplayName,
        stateMessage: given.stateMessage,
        timestamp: given.timestamp,
        monitoringTool: monitoringTool,
    ),
)
