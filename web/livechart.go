package web

import (
	"html/template"
	"slices"
	"strconv"
	"time"
)

// liveChart is the last readings of a number as a line, and as numbers beside it. The line's points are the readings
// themselves, so that a script can go on with them: x counts from the left, y is the number.
type liveChart struct {
	// Key is what frames call the number.
	Key    string
	Width  int // the highest x
	Top    int // the highest y
	Points string
	Now    int
	Low    int
	High   int
	// Rows are the readings as a table, the latest first.
	Rows []liveRow
}

// liveRow is one reading.
type liveRow struct {
	At    time.Time
	Value int
}

// newLiveChart draws readings that end at an instant.
func newLiveChart(key string, s *series) liveChart {
	c := liveChart{Key: key, Width: liveSamples - 1, Top: 1}
	values := s.all()
	if len(values) == 0 {
		return c
	}
	c.Low, c.High, c.Now = int(slices.Min(values)), int(slices.Max(values)), int(values[len(values)-1])
	c.Top = max(1, c.High)
	b := make([]byte, 0, 6*len(values))
	for i, v := range values {
		// What goes on as it was needs no point of its own.
		if i > 0 && i < len(values)-1 && values[i-1] == v && values[i+1] == v {
			continue
		}
		b = strconv.AppendInt(b, int64(liveSamples-len(values)+i), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(v), 10)
		b = append(b, ' ')
	}
	c.Points = string(b[:len(b)-1])
	return c
}

// table adds the readings as rows.
func (c *liveChart) table(s *series, at time.Time) {
	for i, v := range slices.Backward(s.all()) {
		c.Rows = append(c.Rows, liveRow{At: at.Add(-time.Duration(s.n-1-i) * liveEvery), Value: int(v)})
	}
}

// nodeRow is a node with its chart.
type nodeRow struct {
	fleetRow
	Chart liveChart
}

// maxNodeCharts is how many nodes have their charts on one page.
const maxNodeCharts = 250

// nodeCharts are the charts of nodes as a part of a page, the busiest first, and the one of all together. They are made once a
// reading. Of more than maxNodeCharts, those from the place skip on.
func (v *visit) nodeCharts(rows []fleetRow, skip int) (template.HTML, liveChart, error) {
	l := &v.site.live
	l.mu.Lock()
	seq, total := l.seq, newLiveChart("total", &l.total)
	total.table(&l.total, l.at)
	charts := make([]nodeRow, len(rows))
	for i := range rows {
		charts[i] = nodeRow{fleetRow: rows[i], Chart: liveChart{Width: liveSamples - 1, Top: 1, Now: rows[i].Active, Low: rows[i].Active, High: rows[i].Active}}
		if kept := l.servers[rows[i].ID]; kept != nil {
			charts[i].Chart = newLiveChart("c"+number(rows[i].ID), &kept.series)
		}
	}
	l.mu.Unlock()
	slices.SortStableFunc(charts, func(a, b nodeRow) int { return b.Chart.Now - a.Chart.Now })
	charts = charts[min(skip, len(charts)):]
	list, err := v.fragment("glance", fragmentKey{name: "node charts", reading: seq, skip: skip}, charts[:min(maxNodeCharts, len(charts))])
	return list, total, err
}
