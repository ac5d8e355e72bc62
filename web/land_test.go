package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// landSource is Natural Earth's land at 1:110 million, which is in the public domain, as TopoJSON. tools/deps installs it.
const landSource = "../tools/npm/node_modules/world-atlas/land-110m.json"

// topology is what is read of TopoJSON: lines whose points are steps on a grid, and polygons made of them.
type topology struct {
	Transform struct{ Scale, Translate [2]float64 }
	Arcs      [][][2]float64
	Objects   struct {
		Land struct {
			Geometries []struct{ Arcs [][][]int }
		}
	}
}

// degrees is a longitude and a latitude.
type degrees [2]float64

// ring joins lines to one ring; ^i is line i backwards.
func (t *topology) ring(arcs []int) []degrees {
	var ring []degrees
	for _, i := range arcs {
		steps := t.Arcs[max(i, ^i)]
		line := make([]degrees, len(steps))
		var at [2]float64
		for j, step := range steps {
			at[0], at[1] = at[0]+step[0], at[1]+step[1]
			to := j
			if i < 0 {
				to = len(steps) - 1 - j
			}
			line[to] = degrees{at[0]*t.Transform.Scale[0] + t.Transform.Translate[0], at[1]*t.Transform.Scale[1] + t.Transform.Translate[1]}
		}
		ring = append(ring, line...)
	}
	return ring
}

// unwrap lets a ring go on over the antimeridian instead of around the world.
func unwrap(ring []degrees) []degrees {
	out := make([]degrees, len(ring))
	shift := 0.0
	for i, p := range ring {
		if i > 0 {
			switch step := p[0] - ring[i-1][0]; {
			case step > 180:
				shift -= 360
			case step < -180:
				shift += 360
			}
		}
		out[i] = degrees{p[0] + shift, p[1]}
	}
	return out
}

// clip keeps what of a ring is beyond a bound (Sutherland and Hodgman): axis 0 is the longitude, sign -1 keeps what is below.
func clip(ring []degrees, axis int, bound, sign float64) []degrees {
	var out []degrees
	for i, p := range ring {
		before := ring[(i+len(ring)-1)%len(ring)]
		isIn, wasIn := (p[axis]-bound)*sign >= 0, (before[axis]-bound)*sign >= 0
		if isIn != wasIn {
			at := (bound - before[axis]) / (p[axis] - before[axis])
			cut := degrees{before[0] + at*(p[0]-before[0]), before[1] + at*(p[1]-before[1])}
			cut[axis] = bound
			out = append(out, cut)
		}
		if isIn {
			out = append(out, p)
		}
	}
	return out
}

// land draws the land of the map: one path of whole numbers, each point as a step from the one before.
func land(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(landSource)
	if err != nil {
		t.Fatalf("no world-atlas: run tools/deps (%v)", err)
	}
	var source topology
	if err := json.Unmarshal(raw, &source); err != nil {
		t.Fatal(err)
	}
	var path bytes.Buffer
	for _, g := range source.Objects.Land.Geometries {
		for _, polygon := range g.Arcs {
			for _, arcs := range polygon {
				whole := unwrap(source.ring(arcs))
				for _, shift := range []float64{-360, 0, 360} {
					moved := make([]degrees, len(whole))
					for i, p := range whole {
						moved[i] = degrees{p[0] + shift, p[1]}
					}
					moved = clip(clip(moved, 0, -180, 1), 0, 180, -1)
					draw(&path, clip(moved, 1, mapSouth, 1))
				}
			}
		}
	}
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d"><path fill="#8a958e" fill-opacity=".34" d="%s"/></svg>`+"\n", mapWidth, mapHeight(), path.Bytes())
}

// draw adds a ring to a path, unless it is too small to be seen.
func draw(path *bytes.Buffer, ring []degrees) {
	var points [][2]int
	for _, p := range ring {
		x, y := onMap(p[1], p[0])
		if n := len(points); n == 0 || points[n-1] != [2]int{x, y} {
			points = append(points, [2]int{x, y})
		}
	}
	if len(points) < 4 {
		return
	}
	fmt.Fprintf(path, "M%d %dl", points[0][0], points[0][1])
	for i, p := range points[1:] {
		for axis := range 2 {
			step := strconv.Itoa(p[axis] - points[i][axis])
			if step[0] != '-' && (i > 0 || axis > 0) {
				path.WriteByte(' ')
			}
			path.WriteString(step)
		}
	}
	path.WriteByte('z')
}
