// Rules of InfluxDB's planner by name. Our planner has other rules, so nothing is switched off.
option disableLogicalRules = []
option disablePhysicalRules = []
