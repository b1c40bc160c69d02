import "http"
import "internal/notify"
import "json"

message = (url="https://webexapis.com", token, roomId, text, markdown) => http.post(
    url: url + "/v1/messages",
    headers: {"Content-Type": "application/json; charset=utf-8", "Authorization": "Bearer " + token},
    data: json.encode(v: {text: text, markdown: markdown, roomId: roomId}),
)

endpoint = (url="https://webexapis.com", token) => notify.endpoint(
    send: (given) => message(url: url, token: token, roomId: given.roomId, text: given.text, markdown: given.markdown),
)
