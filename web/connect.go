package web

import (
	"errors"
	"html/template"
	"net/http"
	"strconv"

	"rsc.io/qr"

	"stile/vpn"
)

func number(n int64) string { return strconv.FormatInt(n, 10) }

// connectPage chooses a device and a server.
type connectPage struct {
	Devices   []vpn.Device
	Limit     int
	Servers   template.HTML // to pick from, "" when there is none
	Access    vpn.Access
	Chosen    int64 // device
	Platforms []vpn.Platform
	Problem   problem
}

func (s *Site) connect(v *visit) error {
	chosen, _ := strconv.ParseInt(v.r.URL.Query().Get("device"), 10, 64)
	return s.showConnect(v, http.StatusOK, connectPage{Chosen: chosen})
}

func (s *Site) showConnect(v *visit, status int, p connectPage) error {
	o, err := s.service.Overview(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	p.Devices, p.Limit, p.Access, p.Platforms = o.Devices, o.DeviceLimit, o.Access, platforms
	if p.Servers, err = v.fragment("connect", fragmentKey{name: "server picks", view: o.View}, pickable(o.View)); err != nil {
		return err
	}
	return v.page(status, "connect", p)
}

// pickable are the servers that a key can be had for by hand.
func pickable(view *vpn.View) []*vpn.ListedServer {
	var fitting []*vpn.ListedServer
	for i := range view.Servers {
		if l := &view.Servers[i]; l.LockedReason == "" && l.Status != vpn.StatusMaintenance && l.Offers(vpn.Shadowsocks) {
			fitting = append(fitting, l)
		}
	}
	return fitting
}

// makeKey makes the key of a device on a server, unless there is one, and shows it.
func (s *Site) makeKey(v *visit) error {
	device, _ := strconv.ParseInt(v.form("device"), 10, 64)
	server, _ := strconv.ParseInt(v.form("server"), 10, 64)
	return s.issueKey(v, device, server, false)
}

// rotateKey ends the key there is and shows another.
func (s *Site) rotateKey(v *visit) error {
	return s.issueKey(v, v.pathID("device"), v.pathID("server"), true)
}

func (s *Site) issueKey(v *visit, device, server int64, rotate bool) error {
	issued, err := s.service.IssueKey(v.r.Context(), v.actor, vpn.IssueKey{
		ServerID: server, Device: vpn.DeviceRef(number(device)), Protocol: vpn.Shadowsocks, Rotate: rotate,
	})
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			return s.showConnect(v, status, connectPage{Chosen: device, Problem: p})
		})
	}
	what := "key_made"
	switch {
	case rotate:
		what = "key_rotated"
	case !issued.IsReady:
		what = "key_soon"
	}
	return v.done("/account/connect/"+number(device)+"/"+number(server), what)
}

// keyPage shows a key in every way to carry it to a device.
type keyPage struct {
	Device vpn.Device
	Server vpn.ListedServer
	Key    string
	// Link is the key as a link that opens an app.
	Link     template.URL
	Code     qrCode
	Apps     []app
	Platform vpn.Platform
}

// heldKey returns a key of the path with the device it belongs to.
func (s *Site) heldKey(v *visit) (*vpn.Device, *vpn.IssuedKey, error) {
	deviceID := v.pathID("device")
	issued, err := s.service.HeldKey(v.r.Context(), v.actor, deviceID, v.pathID("server"))
	if err != nil {
		return nil, nil, err
	}
	devices, err := s.service.Devices(v.r.Context(), v.actor)
	if err != nil {
		return nil, nil, err
	}
	for i := range devices {
		if devices[i].ID == deviceID {
			return &devices[i], issued, nil
		}
	}
	return nil, nil, vpn.Refusal(vpn.CodeDeviceNotFound)
}

func (s *Site) key(v *visit) error {
	device, issued, err := s.heldKey(v)
	if vpn.CodeOf(err) == vpn.CodeNotFound {
		return v.redirect("/account/connect?device=" + number(v.pathID("device")))
	}
	if err != nil {
		return err
	}
	endpoint := issued.Shadowsocks()
	link := endpoint.URI()
	code, err := newQR(link)
	if err != nil {
		return err
	}
	return v.page(http.StatusOK, "key", keyPage{
		Device: *device, Server: *issued.Server, Key: link, Link: template.URL(link), Code: code, //nolint:gosec // made by accesskey, which escapes
		Apps: appsFor(device.Platform, endpoint), Platform: device.Platform,
	})
}

// keyPNG is the code as a picture to copy or to send.
func (s *Site) keyPNG(v *visit) error {
	_, issued, err := s.heldKey(v)
	if err != nil {
		return err
	}
	code, err := qr.Encode(issued.Shadowsocks().URI(), qr.M)
	if err != nil {
		return errors.Join(errors.New("a key does not fit a QR code"), err)
	}
	v.send(http.StatusOK, "image/png", code.PNG())
	return nil
}

// qrCode is a code as one path of an SVG picture, quiet zone included.
type qrCode struct {
	Size int // of the picture, in modules
	Path string
}

// quietZone is the white border that readers need, in modules (ISO/IEC 18004 section 9.1).
const quietZone = 4

func newQR(text string) (qrCode, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return qrCode{}, errors.Join(errors.New("a key does not fit a QR code"), err)
	}
	var path []byte
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if n := x - from; n > 0 {
				path = append(path, 'M')
				path = strconv.AppendInt(path, int64(from+quietZone), 10)
				path = append(path, ' ')
				path = strconv.AppendInt(path, int64(y+quietZone), 10)
				path = append(path, 'h')
				path = strconv.AppendInt(path, int64(n), 10)
				path = append(path, "v1h-"...)
				path = strconv.AppendInt(path, int64(n), 10)
				path = append(path, 'z')
			}
		}
	}
	return qrCode{Size: code.Size + 2*quietZone, Path: string(path)}, nil
}
