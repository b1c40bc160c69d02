// What a task knows of its earlier runs.
import "date"

// Stands for "never": the runner of tasks sets the option.
_zeroTime = 1970-01-01T00:00:00Z

option lastSuccessTime = _zeroTime

lastSuccess = (orTime, lastSuccessTime=lastSuccessTime) => if lastSuccessTime == _zeroTime then date.time(t: orTime) else lastSuccessTime
