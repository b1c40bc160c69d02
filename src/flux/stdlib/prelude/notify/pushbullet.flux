import "http"
import "internal/notify"
import "json"

option defaultURL = "https://api.pushbullet.com/v2/pushes"

pushData = (url=defaultURL, token="", data) => http.post(
    url: url,
    headers: {"Access-Token": token, "Content-Type": "application/json"},
    data: json.encode(v: data),
)

pushNote = (url=defaultURL, token="", title, text) => pushData(url: url, token: token, data: {type: "note", title: title, body: text})

endpoint = (url=defaultURL, token="") => notify.endpoint(
    send: (given) => pushNote(url: url, token: token, title: given.title, text: given.text),
)
