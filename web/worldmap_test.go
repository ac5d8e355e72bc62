package web

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// The projection is Equal Earth: the values are those of its authors' own tables, in radii of the sphere.
func TestEqualEarth(t *testing.T) {
	for _, c := range []struct{ latitude, longitude, x, y float64 }{
		{0, 0, 0, 0}, {0, 180, 2.70663, 0}, {90, 0, 0, 1.31736}, {-90, 180, -1, -1.31736}, {0, -90, -1.35331, 0},
	} {
		x, y := equalEarth(c.latitude, c.longitude)
		if math.Abs(y-c.y) > 1e-4 || (c.x != -1 && math.Abs(x-c.x) > 1e-4) {
			t.Errorf("%v, %v: %.5f, %.5f, want %v, %v", c.latitude, c.longitude, x, y, c.x, c.y)
		}
	}
	// Every area of one size on the globe has one size on the map.
	area := func(latitude, longitude float64) float64 {
		const d = 0.5
		x1, y1 := equalEarth(latitude, longitude)
		x2, _ := equalEarth(latitude, longitude+d)
		_, y2 := equalEarth(latitude+d, longitude)
		return (x2 - x1) * (y2 - y1) / math.Cos((latitude+d/2)*math.Pi/180)
	}
	for _, at := range [][2]float64{{10, 20}, {40, -100}, {60, 100}, {-40, 170}} {
		if ratio := area(at[0], at[1]) / area(0, 0); math.Abs(ratio-1) > 0.02 {
			t.Errorf("at %v an area is %.3f of what it is at the equator", at, ratio)
		}
	}
}

// Servers that would hide one another are one point with their number, in the state that matters most; one without
// coordinates is on no map; and the order and the load change nothing.
func TestWorldMap(t *testing.T) {
	if m := newWorldMap([]place{{name: "nowhere", state: "good"}}); m != nil {
		t.Errorf("%+v", m)
	}
	places := []place{
		{name: "Amsterdam 1", latitude: 52.37, longitude: 4.9, state: "good", isBest: true}, {name: "Amsterdam 2", latitude: 52.37, longitude: 4.9, state: "busy"},
		{name: "Rotterdam", latitude: 51.92, longitude: 4.48, state: "idle"}, {name: "Tokyo", latitude: 35.68, longitude: 139.69, state: "bad"},
		{name: "nowhere", state: "bad"}, {name: "North Pole", latitude: 90, longitude: -180, state: "idle"},
	}
	m := newWorldMap(places)
	if len(m.Points) != 3 {
		t.Fatalf("%+v", m.Points)
	}
	pole, dutch, tokyo := m.Points[0], m.Points[1], m.Points[2]
	if dutch.Number != "3" || dutch.State != "busy" || !dutch.IsBest || strings.Join(dutch.Names, "; ") != "Rotterdam; Amsterdam 1; Amsterdam 2" || dutch.More != 0 {
		t.Errorf("%+v", dutch)
	}
	if tokyo.Number != "" || tokyo.State != "bad" || tokyo.X < 1600 || tokyo.Radius != pointRadius || pole.Y != 0 {
		t.Errorf("%+v, %+v", tokyo, pole)
	}
	places[0], places[1], places[2] = places[2], places[0], places[1]
	if again := fmt.Sprint(newWorldMap(places)); again != fmt.Sprint(m) {
		t.Errorf("another order makes %s", again)
	}

	// A thousand in every place: each is counted once, and no two points hide one another.
	var many []place
	for i := range 1000 {
		many = append(many, place{name: number(int64(i)), latitude: float64(i*37%105) - 40, longitude: float64(i*53%340) - 165, state: "good"})
	}
	count := 0
	points := newWorldMap(many).Points
	for i, p := range points {
		count += len(p.Names) + p.More
		if p.X < 0 || p.X > mapWidth || p.Y < 0 || p.Y > mapHeight() {
			t.Errorf("%+v is beside the map", p)
		}
		for _, q := range points[:i] {
			if apart(p.X, p.Y, q.X, q.Y) < pointApart {
				t.Errorf("%+v hides %+v", p, q)
			}
		}
	}
	if count != 1000 {
		t.Errorf("%d servers are on the map", count)
	}
}
