import "http"
import "internal/notify"
import "json"
import "strings"

alert = (
    url,
    apiKey,
    resource,
    event,
    environment="",
    severity,
    service=[],
    group="",
    value="",
    text="",
    tags=[],
    attributes,
    origin="InfluxDB",
    type="",
    timestamp=now(),
) => http.post(
    url: url,
    headers: {"Authorization": "Key " + apiKey, "Content-Type": "application/json"},
    data: json.encode(
        v: {
            resource: resource,
            event: event,
            environment: environment,
            severity: severity,
            service: service,
            group: group,
            value: value,
            text: text,
            tags: tags,
            attributes: attributes,
            origin: origin,
            type: type,
            // Milliseconds are as fine as Alerta's times are.
            createTime: strings.substring(v: string(v: timestamp), start: 0, end: 23) + "Z",
        },
    ),
)

endpoint = (url, apiKey, environment="", origin="") => notify.endpoint(
    send: (given) => alert(
        url: url,
        apiKey: apiKey,
        resource: given.resource,
        event: given.event,
        environment: environment,
        severity: given.severity,
        service: given.service,
        group: given.group,
        value: given.value,
        text: given.text,
        tags: given.tags,
        attributes: given.attributes,
        origin: origin,
        type: given.type,
        timestamp: given.timestamp,
    ),
)
