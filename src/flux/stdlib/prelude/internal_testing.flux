// Assertions on texts and error codes.
import "experimental"

assertMatches = (got, want) => if got =~ want then
    got
else
    die(msg: "Regex `${display(v: want)}` does not match `${got}`")

shouldErrorWithCode = (fn, want, code) => {
    caught = experimental.catch(fn: fn)

    return
        if not exists caught.msg then
            die(msg: "shouldErrorWithCode expected an error")
        else if caught.code != code then
            die(msg: "shouldErrorWithCode expected code ${code}, found ${caught.code}")
        else
            assertMatches(got: caught.msg, want: want)
}
