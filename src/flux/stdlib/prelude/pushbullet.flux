import "http"
import "json"

option defaultURL = "https://api.pushbullet.com/v2/pushes"

pushData = (url=defaultURL, token="", data) => http.post(
    url: url,
    headers: {"Access-Token": token, "Content-Type": "application/json"},
    data: json.encode(v: data),
)

pushNote = (url=defaultURL, token="", title, text) => pushData(url: url, token: token, data: {type: "note", title: title, body: text})

endpoint = (url=defaultURL, token="") => (mapFn) => (tables=<-) => tables
    |> map(
        fn: (r) => {
            note = mapFn(r: r)
            status = pushNote(url: url, token: token, title: note.title, text: note.text)

            return {r with _status: string(v: status), _sent: string(v: status / 100 == 2)}
        },
    )
