package bundle

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
)

// look is how an icon is coloured: a tile with a stile on it.
type look struct {
	name  string
	tile  color.NRGBA
	sizes []int
}

// looks are the states that the toolbar's button shows. They differ in lightness too, for those who see no colours, and
// the one that stops has a bar instead of steps.
var looks = []look{
	{"on", color.NRGBA{R: 0x0b, G: 0x7a, B: 0x5c, A: 0xff}, []int{16, 32, 48, 128}},
	{"off", color.NRGBA{R: 0x8a, G: 0x93, B: 0x9b, A: 0xff}, []int{16, 32}},
	{"stop", color.NRGBA{R: 0xc2, G: 0x3b, B: 0x22, A: 0xff}, []int{16, 32}},
}

// samples is how many points a side of a pixel is looked at.
const samples = 8

// addIcons draws the icons as PNG.
func addIcons(files map[string][]byte) error {
	for _, l := range looks {
		for _, size := range l.sizes {
			var b bytes.Buffer
			if err := png.Encode(&b, draw(l, size)); err != nil {
				return err
			}
			files[fmt.Sprintf("icon-%s-%d.png", l.name, size)] = b.Bytes()
		}
	}
	return nil
}

// draw paints an icon with soft edges: each pixel is the mean of many points.
func draw(l look, size int) *image.NRGBA {
	white := color.NRGBA{R: 0xff, G: 0xff, B: 0xff, A: 0xff}
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			onTile, onMark := 0, 0
			for i := range samples * samples {
				u := (float64(x) + (float64(i%samples)+0.5)/samples) / float64(size) * 16
				v := (float64(y) + (float64(i/samples)+0.5)/samples) / float64(size) * 16
				if !isIn(u, v, 0.5, 0.5, 15.5, 15.5, 3.6) {
					continue
				}
				onTile++
				if isMark(l.name, u, v) {
					onMark++
				}
			}
			img.SetNRGBA(x, y, mix(l.tile, white, onTile, onMark))
		}
	}
	return img
}

// isMark reports whether a point, in a square of 16, is on the white mark: the steps over a wall, and its post.
func isMark(name string, u, v float64) bool {
	if name == "stop" {
		return isIn(u, v, 3.5, 6.75, 12.5, 9.25, 0.6)
	}
	return isIn(u, v, 7, 2.75, 9, 12.5, 0.5) || // the post
		isIn(u, v, 5, 6, 11, 8, 0.5) || // the upper step
		isIn(u, v, 3, 10.5, 13, 12.5, 0.5) // the lower one
}

// isIn reports whether a point is in a rectangle with round corners.
func isIn(u, v, left, top, right, bottom, radius float64) bool {
	dx := math.Max(math.Max(left+radius-u, u-(right-radius)), 0)
	dy := math.Max(math.Max(top+radius-v, v-(bottom-radius)), 0)
	return dx*dx+dy*dy <= radius*radius
}

func mix(tile, mark color.NRGBA, onTile, onMark int) color.NRGBA {
	if onTile == 0 {
		return color.NRGBA{}
	}
	part := func(a, b uint8) uint8 {
		return uint8((int(a)*(onTile-onMark) + int(b)*onMark) / onTile)
	}
	return color.NRGBA{
		R: part(tile.R, mark.R), G: part(tile.G, mark.G), B: part(tile.B, mark.B), A: uint8(255 * onTile / (samples * samples)),
	}
}
