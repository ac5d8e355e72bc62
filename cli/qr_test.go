package cli

import (
	"bytes"
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"stile/accesskey"
)

// picture turns what printQR draws back into dark and light modules, as an eye or a camera sees it.
func picture(t *testing.T, drawn string) image.Image {
	t.Helper()
	const scale = 4
	lines := strings.Split(strings.TrimSuffix(drawn, "\n"), "\n")
	var img *image.Gray
	for y, line := range lines {
		line, isDark := strings.CutPrefix(line, blackOnWhite)
		line, isReset := strings.CutSuffix(line, plainColours)
		if !isDark || !isReset {
			t.Fatalf("line %d does not set its colours and reset them: %q", y, line)
		}
		blocks := []rune(line)
		if img == nil {
			img = image.NewGray(image.Rect(0, 0, len(blocks)*scale, len(lines)*2*scale))
		}
		for x, block := range blocks {
			upper, lower := shades(t, block)
			for dy := range scale {
				for dx := range scale {
					img.SetGray(x*scale+dx, 2*y*scale+dy, upper)
					img.SetGray(x*scale+dx, (2*y+1)*scale+dy, lower)
				}
			}
		}
	}
	return img
}

func shades(t *testing.T, block rune) (upper, lower color.Gray) {
	t.Helper()
	dark, light := color.Gray{0}, color.Gray{255}
	switch block {
	case ' ':
		return light, light
	case '▀':
		return dark, light
	case '▄':
		return light, dark
	case '█':
		return dark, dark
	}
	t.Fatalf("unknown block %q", block)
	return dark, dark
}

// An independent reader must read every key, from the shortest to the longest name.
func TestQRCodesScan(t *testing.T) {
	seed := accesskey.Seed{1, 2, 3}
	for _, text := range []string{
		"x",
		seed.Shadowsocks().URI("1.2.3.4", 443, ""),
		seed.Shadowsocks().URI("nl1.example.net", 8388, "Амстердам 1"),
		seed.Shadowsocks().URI("2001:db8:1234:5678:9abc:def0:1234:5678", 65535, strings.Repeat("Имя ", 20)),
	} {
		var out bytes.Buffer
		if err := (&Terminal{Out: &out}).printQR(text); err != nil {
			t.Fatal(err)
		}
		bitmap, err := gozxing.NewBinaryBitmapFromImage(picture(t, out.String()))
		if err != nil {
			t.Fatal(err)
		}
		read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
		if err != nil || read.GetText() != text {
			t.Errorf("read %q, %v\nwant %q\n%s", read, err, text, out.String())
		}
	}
}

func TestQRHasAQuietZone(t *testing.T) {
	var out bytes.Buffer
	if err := (&Terminal{Out: &out}).printQR("stile"); err != nil {
		t.Fatal(err)
	}
	img := picture(t, out.String())
	border := quietZone * 4
	for x := range img.Bounds().Dx() {
		for y := range img.Bounds().Dy() {
			isBorder := x < border || y < border || x >= img.Bounds().Dx()-border || y >= img.Bounds().Dy()-border
			if isBorder && img.At(x, y) != (color.Gray{255}) {
				t.Fatalf("pixel %d,%d in the quiet zone is dark", x, y)
			}
		}
	}
}

func TestQRRefusesWhatDoesNotFit(t *testing.T) {
	const most = 2331 // bytes at level M, ISO/IEC 18004 table 7
	if err := (&Terminal{Out: &bytes.Buffer{}}).printQR(strings.Repeat("a", most)); err != nil {
		t.Errorf("%d bytes: %v", most, err)
	}
	if err := (&Terminal{Out: &bytes.Buffer{}}).printQR(strings.Repeat("a", most+1)); err == nil {
		t.Errorf("%d bytes are drawn", most+1)
	}
}
