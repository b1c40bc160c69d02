// What every notification endpoint is: for each row, `mapFn` says what to send and `send` sends it and gives the status.
endpoint = (send) => (mapFn) => (tables=<-) => tables
    |> map(
        fn: (r) => {
            status = send(given: mapFn(r: r))

            return {r with _status: string(v: status), _sent: string(v: status / 100 == 2)}
        },
    )
