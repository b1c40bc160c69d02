// Events for PagerDuty's API, version 2.

import "experimental/record"
import "http/requests"
import "json"
import "strings"

option defaultURL = "https://events.pagerduty.com/v2/enqueue"

severityFromLevel = (level) => {
    known = strings.toLower(v: level)

    return if known == "warn" then
        "warning"
    else if known == "crit" then
        "critical"
    else if known == "info" or known == "ok" then
        "info"
    else
        "error"
}

actionFromSeverity = (severity) => if strings.toLower(v: severity) == "ok" then "resolve" else "trigger"

actionFromLevel = (level) => actionFromSeverity(severity: level)

_send = (url, event, dedupKey) => {
    payload = {
        summary: strings.substring(v: event.summary, start: 0, end: 1023),
        timestamp: event.timestamp,
        source: event.source,
        component: record.get(r: event, key: "component", default: ""),
        severity: event.severity,
        group: event.group,
        class: event.class,
    }
    details = record.get(r: event, key: "customDetails", default: record.any)
    body = {
        payload: if details == record.any then payload else {payload with custom_details: details},
        routing_key: event.routingKey,
        dedup_key: dedupKey,
        event_action: event.eventAction,
        client: event.client,
        client_url: event.clientURL,
    }

    return requests.do(
        method: "POST",
        url: url,
        body: json.encode(v: body),
        headers: ["Accept": "application/vnd.pagerduty+json;version=2", "Content-Type": "application/json"],
    )
}

sendEvent = (
    pagerdutyURL=defaultURL,
    routingKey,
    client,
    clientURL,
    dedupKey,
    class,
    group,
    severity,
    eventAction,
    source,
    component="",
    summary,
    timestamp,
    customDetails=record.any,
) => _send(
    url: pagerdutyURL,
    dedupKey: dedupKey,
    event: {
        routingKey: routingKey,
        client: client,
        clientURL: clientURL,
        class: class,
        group: group,
        severity: severity,
        eventAction: eventAction,
        source: source,
        component: component,
        summary: summary,
        timestamp: timestamp,
        customDetails: customDetails,
    },
).statusCode

endpoint = (url=defaultURL) => (mapFn) => (tables=<-) => tables
    |> dedupKey()
    |> map(
        fn: (r) => {
            response = _send(url: url, event: mapFn(r: r), dedupKey: r._pagerdutyDedupKey)

            return {r with
                _sent: string(v: response.statusCode / 100 == 2),
                _status: string(v: response.statusCode),
                _body: string(v: response.body),
            }
        },
    )
