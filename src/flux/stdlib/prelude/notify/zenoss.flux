import "http"
import "internal/notify"
import "json"

event = (
    url,
    username="",
    password="",
    apiKey="",
    action="EventsRouter",
    method="add_event",
    type="rpc",
    tid=1,
    summary="",
    device="",
    component="",
    severity,
    eventClass="",
    eventClassKey="",
    collector="",
    message="",
) => {
    sent = {
        summary: summary,
        device: device,
        component: component,
        severity: severity,
        evclass: eventClass,
        evclasskey: eventClassKey,
        collector: collector,
        message: message,
    }
    plain = {"Content-Type": "application/json"}
    headers = if apiKey == "" then
        {plain with "Authorization": http.basicAuth(u: username, p: password)}
    else
        {plain with "z-api-key": apiKey}

    return http.post(
        url: url,
        headers: headers,
        data: json.encode(v: {action: action, method: method, data: [sent], type: type, tid: tid}),
    )
}

endpoint = (
    url,
    username="",
    password="",
    apiKey="",
    action="EventsRouter",
    method="add_event",
    type="rpc",
    tid=1,
) => notify.endpoint(
    send: (given) => event(
        url: url,
        username: username,
        password: password,
        apiKey: apiKey,
        action: action,
        method: method,
        type: type,
        tid: tid,
        summary: given.summary,
        device: given.device,
        component: given.component,
        severity: given.severity,
        eventClass: given.eventClass,
        eventClassKey: given.eventClassKey,
        collector: given.collector,
        message: given.message,
    ),
)
