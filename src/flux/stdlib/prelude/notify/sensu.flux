import "http"
import "internal/notify"
import "json"
import "regexp"

// Characters that a Sensu name cannot have become underscores.
toSensuName = (v) => if v == "" then "_" else regexp.replaceAllString(r: /[^a-zA-Z0-9_.\-]/, v: v, t: "_")

event = (
    url,
    apiKey,
    checkName,
    text,
    handlers=[],
    status=0,
    state="",
    namespace="default",
    entityName="influxdb",
) => {
    result = if state != "" then state else if status == 0 then "passing" else "failing"
    body = {
        entity: {entity_class: "proxy", metadata: {name: toSensuName(v: entityName)}},
        check: {
            output: text,
            state: result,
            status: status,
            handlers: handlers,
            interval: 60,
            metadata: {name: toSensuName(v: checkName)},
        },
    }

    return http.post(
        url: url + "/api/core/v2/namespaces/" + namespace + "/events",
        headers: {"Content-Type": "application/json; charset=utf-8", "Authorization": "Key " + apiKey},
        data: json.encode(v: body),
    )
}

endpoint = (url, apiKey, handlers=[], namespace="default", entityName="influxdb") => notify.endpoint(
    send: (given) => event(
        url: url,
        apiKey: apiKey,
        checkName: given.checkName,
        text: given.text,
        handlers: handlers,
        status: given.status,
        namespace: namespace,
        entityName: entityName,
    ),
)
