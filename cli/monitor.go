package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"stile/internal/buildinfo"
	"stile/vpn"
)

// monitorFlags say where monitors ask.
type monitorFlags struct {
	MetricsListen string `placeholder:"ADDRESS" help:"Address of /metrics (Prometheus), /healthz and /readyz, such as 127.0.0.1:9464; none by default. Keep it from the internet."`
}

// monitor answers those who watch this process, on a listener of its own.
type monitor struct {
	listener net.Listener
	registry *prometheus.Registry
	observer *observer                   // nil: of a node, which has nothing to tell
	ready    func(context.Context) error // set before run
}

// open listens; nil when nobody wants to watch.
func (f *monitorFlags) open(ctx context.Context) (*monitor, error) {
	if f.MetricsListen == "" {
		return nil, nil
	}
	listener, err := listen(ctx, f.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with --metrics-listen)", err)
	}
	m := &monitor{listener: listener, registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "stile_build_info", Help: "The program's version; always 1.", ConstLabels: prometheus.Labels{"version": buildinfo.Version()},
		}, func() float64 { return 1 }))
	return m, nil
}

// observe makes the metrics of what the control plane's rooms tell.
func (m *monitor) observe() {
	if m != nil {
		m.observer = newObserver(m.registry)
	}
}

// events is who the domain tells, if anybody listens.
func (m *monitor) events() vpn.Observer {
	if m == nil {
		return nil
	}
	return m.observer
}

// answered is whom the API tells, if anybody listens.
func (m *monitor) answered() func(method, route string, status int, took time.Duration) {
	if m == nil {
		return nil
	}
	return m.observer.answered
}

// committed is whom the store tells, if anybody listens.
func (m *monitor) committed() func(writes int, took time.Duration) {
	if m == nil {
		return nil
	}
	return m.observer.committed
}

// close ends a monitor that never ran.
func (m *monitor) close() error {
	if m == nil {
		return nil
	}
	return m.listener.Close()
}

// run answers until ctx ends.
func (m *monitor) run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { sayHealth(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		sayHealth(w, m.ready(ctx))
	})
	server := &http.Server{
		Handler: mux, ReadTimeout: headerTimeout, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// sayHealth answers in plain words. Unlike the API's, this listener is the operator's own, so it says what is wrong.
func sayHealth(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// readings is a collector of one room's Stats: all rows are read at one moment.
type readings[S any] struct {
	read func() S
	rows []reading[S]
}

// reading is one row of a room's numbers; value reports false where there is none now.
type reading[S any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(S) (float64, bool)
}

// Describe implements prometheus.Collector.
func (r *readings[S]) Describe(to chan<- *prometheus.Desc) {
	for _, row := range r.rows {
		to <- row.desc
	}
}

// Collect implements prometheus.Collector.
func (r *readings[S]) Collect(to chan<- prometheus.Metric) {
	s := r.read()
	for _, row := range r.rows {
		if v, isThere := row.value(s); isThere {
			to <- prometheus.MustNewConstMetric(row.desc, row.kind, v)
		}
	}
}

// gauge adds a number that goes up and down.
func (r *readings[S]) gauge(name, help string, value func(S) float64) {
	r.add(name, help, nil, prometheus.GaugeValue, func(s S) (float64, bool) { return value(s), true })
}

// moment adds a point in time, in seconds since 1970; there is none while it is zero.
func (r *readings[S]) moment(name, help string, value func(S) time.Time) {
	r.add(name, help, nil, prometheus.GaugeValue, func(s S) (float64, bool) {
		at := value(s)
		return float64(at.UnixMilli()) / 1000, !at.IsZero()
	})
}

// count adds a number that only rises while the process runs.
func (r *readings[S]) count(name, help string, labels prometheus.Labels, value func(S) float64) {
	r.add(name, help, labels, prometheus.CounterValue, func(s S) (float64, bool) { return value(s), true })
}

func (r *readings[S]) add(name, help string, labels prometheus.Labels, kind prometheus.ValueType, value func(S) (float64, bool)) {
	r.rows = append(r.rows, reading[S]{desc: prometheus.NewDesc(name, help, nil, labels), kind: kind, value: value})
}
