// What became package array, and conversions of every element.

import "array"

from = array.from
concat = array.concat
map = array.map
filter = array.filter

toBool = (arr=<-) => array.map(arr: arr, fn: (x) => bool(v: x))
toDuration = (arr=<-) => array.map(arr: arr, fn: (x) => duration(v: x))
toFloat = (arr=<-) => array.map(arr: arr, fn: (x) => float(v: x))
toInt = (arr=<-) => array.map(arr: arr, fn: (x) => int(v: x))
toString = (arr=<-) => array.map(arr: arr, fn: (x) => string(v: x))
toTime = (arr=<-) => array.map(arr: arr, fn: (x) => time(v: x))
toUInt = (arr=<-) => array.map(arr: arr, fn: (x) => uint(v: x))
