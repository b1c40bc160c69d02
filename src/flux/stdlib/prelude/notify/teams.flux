import "http"
import "internal/notify"
import "json"
import "strings"

option summaryCutoff = 70

message = (url, title, text, summary="") => {
    whole = if summary == "" then text else summary
    short = if strings.strlen(v: whole) > summaryCutoff then
        strings.substring(v: whole, start: 0, end: summaryCutoff) + "..."
    else
        whole
    card = {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        title: title,
        text: text,
        summary: short,
    }

    return http.post(url: url, headers: {"Content-Type": "application/json; charset=utf-8"}, data: json.encode(v: card))
}

endpoint = (url) => notify.endpoint(
    send: (given) => message(
        url: url,
        title: given.title,
        text: given.text,
        summary: if exists given.summary then given.summary else "",
    ),
)
