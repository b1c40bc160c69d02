import "http"
import "internal/notify"
import "json"
import "strings"

option defaultUrl = "https://api.bigpanda.io/data/v2/alerts"
option defaultTokenPrefix = "Bearer"

statusFromLevel = (level) => {
    known = strings.toLower(v: level)

    return if known == "warn" then
        "warning"
    else if known == "info" or known == "ok" then
        "ok"
    else
        "critical"
}

sendAlert = (url, token, appKey, status, rec) => http.post(
    url: url,
    headers: {"Content-Type": "application/json; charset=utf-8", "Authorization": defaultTokenPrefix + " " + token},
    data: json.encode(v: {rec with app_key: appKey, status: status}),
)

endpoint = (url=defaultUrl, token, appKey) => notify.endpoint(
    send: (given) => sendAlert(url: url, token: token, appKey: appKey, status: given.status, rec: given),
)
