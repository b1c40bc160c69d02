import "array"
import "json"

option defaultConfig = {insecureSkipVerify: false, timeout: 30s}

do = (method, url, params=[:], headers=[:], body=bytes(v: ""), config=defaultConfig) => _do(
    method: method,
    url: url,
    params: params,
    headers: headers,
    body: body,
    config: config,
)

get = (url, params=[:], headers=[:], body=bytes(v: ""), config=defaultConfig) => do(
    method: "GET",
    url: url,
    params: params,
    headers: headers,
    body: body,
    config: config,
)

post = (url, params=[:], headers=[:], body=bytes(v: ""), config=defaultConfig) => do(
    method: "POST",
    url: url,
    params: params,
    headers: headers,
    body: body,
    config: config,
)

// The response as one row: status, headers as JSON, body as text.
peek = (response) => array.from(
    rows: [
        {
            statusCode: response.statusCode,
            body: string(v: response.body),
            headers: string(v: json.encode(v: response.headers)),
            duration: int(v: response.duration),
        },
    ],
)
