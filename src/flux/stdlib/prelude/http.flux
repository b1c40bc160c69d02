import "experimental"

endpoint = (url) => (mapFn) => (tables=<-) => tables
    |> map(
        fn: (r) => {
            request = mapFn(r: r)
            status = post(url: url, headers: request.headers, data: request.data)

            return {r with _status: string(v: status), _sent: string(v: status == 200)}
        },
    )
    |> experimental.group(mode: "extend", columns: ["_sent"])
