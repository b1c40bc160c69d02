import "array"
import "http"
import "internal/notify"
import "json"
import "strings"

_responder = (text) => {
    rest = (from) => strings.substring(v: text, start: from, end: strings.strlen(v: text))

    return if strings.hasPrefix(v: text, prefix: "user:") then
        {type: "user", username: rest(from: 5)}
    else if strings.hasPrefix(v: text, prefix: "team:") then
        {type: "team", name: rest(from: 5)}
    else if strings.hasPrefix(v: text, prefix: "escalation:") then
        {type: "escalation", name: rest(from: 11)}
    else if strings.hasPrefix(v: text, prefix: "schedule:") then
        {type: "schedule", name: rest(from: 9)}
    else
        die(msg: "unsupported responder \"${text}\", it must start with one of ['user:','team:','escalation:','schedule:']")
}

_responders = (v) => array.map(arr: v, fn: (x) => _responder(text: x))

respondersToJSON = (v) => string(v: json.encode(v: _responders(v: v)))

_cut = (v, max) => strings.substring(v: v, start: 0, end: max)

sendAlert = (
    url="https://api.opsgenie.com/v2/alerts",
    apiKey,
    message,
    alias="",
    description="",
    priority="P3",
    responders=[],
    tags=[],
    entity="",
    actions=[],
    visibleTo=[],
    details="{}",
) => {
    known = json.encode(
        v: {
            message: _cut(v: message, max: 130),
            alias: _cut(v: if alias == "" then message else alias, max: 512),
            description: _cut(v: description, max: 15000),
            responders: _responders(v: responders),
            visibleTo: _responders(v: visibleTo),
            actions: actions,
            tags: tags,
            entity: _cut(v: entity, max: 512),
            priority: _cut(v: priority, max: 2),
        },
    )

    // `details` is JSON already.
    return http.post(
        url: url,
        headers: {"Content-Type": "application/json; charset=utf-8", "Authorization": "GenieKey " + apiKey},
        data: bytes(v: strings.trimSuffix(v: string(v: known), suffix: "}") + ",\"details\":" + details + "}"),
    )
}

endpoint = (url="https://api.opsgenie.com/v2/alerts", apiKey, entity="") => notify.endpoint(
    send: (given) => sendAlert(
        url: url,
        apiKey: apiKey,
        entity: entity,
        message: given.message,
        alias: given.alias,
        description: given.description,
        priority: given.priority,
        responders: given.responders,
        tags: given.tags,
        actions: given.actions,
        visibleTo: given.visibleTo,
        details: given.details,
    ),
)
