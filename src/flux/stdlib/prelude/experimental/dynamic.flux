_isNotDistinct = (a, b) => display(v: a) == display(v: b)
