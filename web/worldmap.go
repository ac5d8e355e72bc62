package web

import (
	"cmp"
	"math"
	"slices"
)

// worldMap is where servers are, beside a list that says the same in words. The land is dist/land.svg, made in the same
// projection by the test TestBundle.
type worldMap struct {
	Width, Height int
	Points        []mapPoint
}

// mapPoint is one server, or several that would lie upon one another.
type mapPoint struct {
	X, Y, Radius int
	// Number is what is written on it: how many servers it stands for, "" for one.
	Number string
	// Names are the first of the servers, and More how many there are beyond them.
	Names []string
	More  int
	State string // a class of the sheet: good, busy, bad or idle
	// IsBest marks the one with the recommended server.
	IsBest bool
}

// place is a server to be put on the map.
type place struct {
	name      string
	latitude  float64 // degrees
	longitude float64
	state     string
	isBest    bool
}

// isKnown reports whether the place is one: 0 and 0 are what a server has that nobody gave a place, and are open sea.
func (p *place) isKnown() bool { return p.latitude != 0 || p.longitude != 0 }

// The map's measures, in units of its own; it is scaled to the page. It ends where nobody lives: above Greenland, and
// below Tierra del Fuego.
const (
	mapWidth            = 2000
	mapNorth, mapSouth  = 84.0, -57.0 // degrees
	pointRadius         = 15
	pointApart          = 46 // nearer ones become one point
	pointNames          = 6
	maxPointRadius      = 30
	pointRadiusPerPower = 6
)

// The polynomial of the Equal Earth projection (Šavrič, Patterson, Jenny, 2018).
const (
	equalEarth1, equalEarth2, equalEarth3, equalEarth4 = 1.340264, -0.081106, 0.000893, 0.003796
)

// equalEarth projects degrees to the plane: x is ±2.7066 at the ends of the equator, y grows to the north.
func equalEarth(latitude, longitude float64) (x, y float64) {
	theta := math.Asin(math.Sqrt(3) / 2 * math.Sin(latitude*math.Pi/180))
	t2 := theta * theta
	t6 := t2 * t2 * t2
	slope := 9*equalEarth4*t6*t2 + 7*equalEarth3*t6 + 3*equalEarth2*t2 + equalEarth1
	x = 2 * math.Sqrt(3) * longitude * math.Pi / 180 * math.Cos(theta) / (3 * slope)
	y = theta * (equalEarth4*t6*t2 + equalEarth3*t6 + equalEarth2*t2 + equalEarth1)
	return x, y
}

// onMap returns the point of the map for degrees; x grows to the east and y to the south.
func onMap(latitude, longitude float64) (x, y int) {
	edge, _ := equalEarth(0, 180)
	_, top := equalEarth(mapNorth, 0)
	east, north := equalEarth(latitude, longitude)
	scale := mapWidth / (2 * edge)
	return int(math.Round((east + edge) * scale)), int(math.Round((top - north) * scale))
}

// mapHeight is the map's height.
func mapHeight() int {
	_, bottom := onMap(mapSouth, 0)
	return bottom
}

// stateRank orders the states: of several servers at one point, the one that matters most is shown.
var stateRank = []string{"idle", "good", "busy", "bad"}

// newWorldMap puts servers on the map. Those without a place are left out; nil when all are.
func newWorldMap(places []place) *worldMap {
	m := &worldMap{Width: mapWidth, Height: mapHeight()}
	type cell struct{ x, y int } // pointApart wide: who is near is in this one or one beside it
	type group struct {
		x, y int
		of   []place
	}
	var groups []*group
	byCell := make(map[cell][]*group)
	// By their place and name, so that neither load nor order moves a point.
	sorted := slices.Clone(places)
	slices.SortFunc(sorted, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.longitude, b.longitude), cmp.Compare(a.latitude, b.latitude), cmp.Compare(a.name, b.name))
	})
	for _, p := range sorted {
		if !p.isKnown() {
			continue
		}
		x, y := onMap(min(max(p.latitude, mapSouth), mapNorth), p.longitude)
		var near *group
		here := cell{x / pointApart, y / pointApart}
		for i := range 9 {
			for _, g := range byCell[cell{here.x + i%3 - 1, here.y + i/3 - 1}] {
				if near == nil && apart(g.x, g.y, x, y) < pointApart {
					near = g
				}
			}
		}
		if near == nil {
			near = &group{x: x, y: y}
			groups = append(groups, near)
			byCell[here] = append(byCell[here], near)
		}
		near.of = append(near.of, p)
	}
	if len(groups) == 0 {
		return nil
	}
	for _, g := range groups {
		m.Points = append(m.Points, newMapPoint(g.x, g.y, g.of))
	}
	return m
}

// apart is the distance of two points.
func apart(x1, y1, x2, y2 int) float64 { return math.Hypot(float64(x1-x2), float64(y1-y2)) }

func newMapPoint(x, y int, of []place) mapPoint {
	p := mapPoint{X: x, Y: y, Radius: pointRadius, State: stateRank[0]}
	if len(of) > 1 {
		p.Number = number(int64(len(of)))
		p.Radius = min(maxPointRadius, pointRadius+pointRadiusPerPower*len(p.Number))
	}
	for _, s := range of {
		if len(p.Names) < pointNames {
			p.Names = append(p.Names, s.name)
		}
		if slices.Index(stateRank, s.state) > slices.Index(stateRank, p.State) {
			p.State = s.state
		}
		p.IsBest = p.IsBest || s.isBest
	}
	p.More = len(of) - len(p.Names)
	return p
}
