package cli

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stile/vpn"
)

// observer turns what the rooms tell into metrics. Its labels are routes, statuses and codes, all from tables in the
// program: never a user, key, device, address or name.
type observer struct {
	requests, signIns, usage *prometheus.CounterVec
	latency, waits           *prometheus.HistogramVec
	issued                   prometheus.Counter
	groups, commits          prometheus.Histogram
}

var _ vpn.Observer = (*observer)(nil)

// latencies are the bounds of histograms of short times, in seconds.
var latencies = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10}

// newObserver makes the metrics in a registry.
func newObserver(registry *prometheus.Registry) *observer {
	counts := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		registry.MustRegister(v)
		return v
	}
	times := func(name, help string, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencies}, labels)
		registry.MustRegister(v)
		return v
	}
	o := &observer{
		requests: counts("stile_http_requests_total", "Requests answered, by route and status; 499 = the client went away.", "method", "route", "status"),
		latency:  times("stile_http_request_duration_seconds", "Time to answer a request, by route.", "method", "route"),
		signIns:  counts("stile_sign_ins_total", "Tries to sign in, by outcome: ok, or why not.", "outcome"),
		issued:   prometheus.NewCounter(prometheus.CounterOpts{Name: "stile_keys_issued_total", Help: "Keys written for devices: new, rotated, or with another deadline."}),
		waits:    times("stile_node_wait_seconds", "Time that answers waited for a node to apply a change, by what for and whether it did in time.", "for", "applied"),
		usage:    counts("stile_usage_reports_total", "Usage reports of nodes, by outcome: booked, or a repetition or gap.", "outcome"),
		groups: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "stile_store_group_writes", Help: "Writes that shared a commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "stile_store_group_seconds", Help: "Time of a group of writes, with its commit.", Buckets: latencies,
		}),
	}
	registry.MustRegister(o.issued, o.groups, o.commits)
	o.begin()
	return o
}

// begin makes what rates are taken of, so that a first event is a rise from zero.
func (o *observer) begin() {
	for _, w := range []vpn.Wait{vpn.WaitKey, vpn.WaitRevocation} {
		for _, isApplied := range []bool{true, false} {
			o.waits.WithLabelValues(string(w), strconv.FormatBool(isApplied))
		}
	}
	for _, code := range []vpn.Code{"ok", vpn.CodeInvalidCredentials, vpn.CodeTooManyAttempts} {
		o.signIns.WithLabelValues(string(code))
	}
	o.usage.WithLabelValues(usageBooked)
	o.usage.WithLabelValues(usageRepeated)
}

// The outcomes of usage reports.
const (
	usageBooked   = "booked"
	usageRepeated = "repeated"
)

// answered takes api.Config.Observe.
func (o *observer) answered(method, route string, status int, took time.Duration) {
	o.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	o.latency.WithLabelValues(method, route).Observe(took.Seconds())
}

// committed takes store.Config.Observe.
func (o *observer) committed(writes int, took time.Duration) {
	o.groups.Observe(float64(writes))
	o.commits.Observe(took.Seconds())
}

// SignedIn implements vpn.Observer.
func (o *observer) SignedIn(outcome string) { o.signIns.WithLabelValues(outcome).Inc() }

// KeyIssued implements vpn.Observer.
func (o *observer) KeyIssued() { o.issued.Inc() }

// Waited implements vpn.Observer.
func (o *observer) Waited(w vpn.Wait, isApplied bool, took time.Duration) {
	o.waits.WithLabelValues(string(w), strconv.FormatBool(isApplied)).Observe(took.Seconds())
}

// UsageReported implements vpn.Observer.
func (o *observer) UsageReported(isBooked bool) {
	outcome := usageBooked
	if !isBooked {
		outcome = usageRepeated
	}
	o.usage.WithLabelValues(outcome).Inc()
}
