import "http"
import "internal/notify"
import "json"

option defaultURL = "https://api.telegram.org/bot"
option defaultParseMode = "MarkdownV2"
option defaultDisableWebPagePreview = false
option defaultSilent = true

message = (
    url=defaultURL,
    token,
    channel,
    text,
    parseMode=defaultParseMode,
    disableWebPagePreview=defaultDisableWebPagePreview,
    silent=defaultSilent,
) => http.post(
    url: url + token + "/sendMessage",
    headers: {"Content-Type": "application/json; charset=utf-8"},
    data: json.encode(
        v: {
            chat_id: channel,
            text: text,
            parse_mode: parseMode,
            disable_web_page_preview: disableWebPagePreview,
            disable_notification: silent,
        },
    ),
)

endpoint = (url=defaultURL, token, parseMode=defaultParseMode, disableWebPagePreview=defaultDisableWebPagePreview) => notify.endpoint(
    send: (given) => message(
        url: url,
        token: token,
        channel: given.channel,
        text: given.text,
        parseMode: parseMode,
        disableWebPagePreview: disableWebPagePreview,
        silent: given.silent,
    ),
)
