// Comparison of streams, for scripts that test themselves.
import "array"
import "experimental"

option tags = []
option load = (tables=<-) => tables

// The differences are the result `errorOutput`: a testcase passes when it has no rows.
diff = (got=<-, want, verbose=false, epsilon=0.000001, nansEqual=false) => experimental.diff(want: want, got: got)
    |> yield(name: "errorOutput")

assertEqualValues = (got, want) => diff(got: array.from(rows: [{v: got}]), want: array.from(rows: [{v: want}]))

shouldError = (fn, want) => {
    caught = experimental.catch(fn: fn)

    return
        if not exists caught.msg then
            die(msg: "shouldError expected an error")
        else if caught.msg =~ want then
            caught.msg
        else
            die(msg: "Regex `${display(v: want)}` does not match `${caught.msg}`")
}
