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
