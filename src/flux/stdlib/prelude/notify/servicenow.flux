import "dict"
import "experimental/record"
import "http"
import "internal/notify"
import "json"

_severities = ["clear": "0", "critical": "1", "major": "2", "minor": "3", "warning": "4", "info": "5"]

event = (
    url,
    username,
    password,
    source="Flux",
    node="",
    metricType="",
    resource="",
    metricName="",
    messageKey="",
    description,
    severity,
    additionalInfo=record.any,
) => {
    sent = {
        source: source,
        node: node,
        type: metricType,
        resource: resource,
        metric_name: metricName,
        message_key: messageKey,
        description: description,
        severity: dict.get(dict: _severities, key: severity, default: ""),
        additional_info: if additionalInfo == record.any then "" else string(v: json.encode(v: additionalInfo)),
    }

    return http.post(
        url: url,
        headers: {"Authorization": http.basicAuth(u: username, p: password), "Content-Type": "application/json"},
        data: json.encode(v: {records: [sent]}),
    )
}

endpoint = (url, username, password, source="Flux") => notify.endpoint(
    send: (given) => event(
        url: url,
        username: username,
        password: password,
        source: source,
        node: given.node,
        metricType: given.metricType,
        resource: given.resource,
        metricName: given.metricName,
        messageKey: given.messageKey,
        description: given.description,
        severity: given.severity,
        additionalInfo: record.get(r: given, key: "additionalInfo", default: record.any),
    ),
)
