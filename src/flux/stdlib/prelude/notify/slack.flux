import "http"
import "internal/notify"
import "json"

option defaultURL = "https://slack.com/api/chat.postMessage"

validateColorString = (color) => if color =~ /^(good|warning|danger|#[0-9a-fA-F]{6}|#[0-9a-fA-F]{3})$/ then
    color
else
    die(msg: "invalid color \"${color}\": a color is good, warning, danger, or a hexadecimal colour such as #336699")

message = (url=defaultURL, token="", channel, text, color) => {
    body = {
        channel: channel,
        attachments: [{color: validateColorString(color: color), text: string(v: text), mrkdwn_in: ["text"]}],
    }

    return http.post(
        url: url,
        headers: {"Authorization": "Bearer " + token, "Content-Type": "application/json"},
        data: json.encode(v: body),
    )
}

endpoint = (url=defaultURL, token="") => notify.endpoint(
    send: (given) => message(url: url, token: token, channel: given.channel, text: given.text, color: given.color),
)
