// What became package bitwise.

import "bitwise"

uand = bitwise.uand
uor = bitwise.uor
unot = bitwise.unot
uxor = bitwise.uxor
uclear = bitwise.uclear
ulshift = bitwise.ulshift
urshift = bitwise.urshift
sand = bitwise.sand
sor = bitwise.sor
snot = bitwise.snot
sxor = bitwise.sxor
sclear = bitwise.sclear
slshift = bitwise.slshift
srshift = bitwise.srshift
