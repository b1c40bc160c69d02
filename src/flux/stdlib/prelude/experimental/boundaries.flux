// Bounds of days, weeks and months near today, at `option location`, as records with `start` and `stop`.

import "date"

// The day of the week `day` (Sunday is 0) that last began before the day of `from`.
_before = (day, from) => {
    back = (date.weekDay(t: from) - day + 6) % 7 + 1

    return date.truncate(t: date.sub(d: date.scale(d: 1d, n: back), from: from), unit: 1d)
}

_from = (start, length) => ({start: start, stop: date.add(d: length, to: start)})

_last = (day) => _from(start: _before(day: day, from: today()), length: 1d)

yesterday = () => ({start: date.sub(d: 1d, from: today()), stop: today()})
monday = () => _last(day: date.Monday)
tuesday = () => _last(day: date.Tuesday)
wednesday = () => _last(day: date.Wednesday)
thursday = () => _last(day: date.Thursday)
friday = () => _last(day: date.Friday)
saturday = () => _last(day: date.Saturday)
sunday = () => _last(day: date.Sunday)

month = (month_offset=0) => _from(
    start: date.add(d: date.scale(d: 1mo, n: month_offset), to: date.truncate(t: today(), unit: 1mo)),
    length: 1mo,
)

// The week of today, moved by whole weeks. When the week begins today, it is today's.
week = (week_offset=0, start_sunday=false) => {
    first = if start_sunday then date.Sunday else date.Monday
    begun = if date.weekDay(t: today()) == first then today() else _before(day: first, from: today())

    return _from(start: date.add(d: date.scale(d: 1w, n: week_offset), to: begun), length: 1w)
}
