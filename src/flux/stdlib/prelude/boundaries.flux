// Package date/boundaries was only ever announced; scripts written for it get the package that works.

import "experimental/date/boundaries"

yesterday = boundaries.yesterday
monday = boundaries.monday
tuesday = boundaries.tuesday
wednesday = boundaries.wednesday
thursday = boundaries.thursday
friday = boundaries.friday
saturday = boundaries.saturday
sunday = boundaries.sunday
month = boundaries.month
week = boundaries.week
