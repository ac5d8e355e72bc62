package web

import (
	"errors"
	"net/http"
	"strings"

	"rsc.io/qr"

	"stile/vpn"
)

// subscriptionPage shows the link with which an app imports all keys of a device.
type subscriptionPage struct {
	Device vpn.Device
	Link   string
	Code   qrCode
	// Formats are the link with a format named, for apps that say nothing of themselves.
	Formats []namedLink
}

// namedLink is a link for one format, as the API names it.
type namedLink struct{ Format, Link string }

// subscriptionLink returns the device of the path and its link.
func (s *Site) subscriptionLink(v *visit) (vpn.Device, string, error) {
	device, address, err := s.service.Address(v.r.Context(), v.actor, v.pathID("id"))
	if err != nil {
		return vpn.Device{}, "", err
	}
	return device, v.baseURL() + "/sub/" + address.Reveal(), nil
}

func (s *Site) subscription(v *visit) error {
	device, link, err := s.subscriptionLink(v)
	if err != nil {
		return err
	}
	code, err := newQR(link)
	if err != nil {
		return err
	}
	_, place, _ := strings.Cut(link, "://")
	return v.page(http.StatusOK, "subscription", subscriptionPage{Device: device, Link: link, Code: code, Formats: []namedLink{
		{"base64", link + "?format=base64"}, {"clash", link + "?format=clash"}, {"sing-box", link + "?format=sing-box"},
		{"outline", "ssconf://" + place + "?format=outline"}, // Outline's scheme stands for https
	}})
}

// subscriptionPNG is the code as a picture to copy or to send.
func (s *Site) subscriptionPNG(v *visit) error {
	_, link, err := s.subscriptionLink(v)
	if err != nil {
		return err
	}
	code, err := qr.Encode(link, qr.M)
	if err != nil {
		return errors.Join(errors.New("a link does not fit a QR code"), err)
	}
	v.send(http.StatusOK, "image/png", code.PNG())
	return nil
}

// rotateAddress ends the link there is, with the keys it gave, and shows another.
func (s *Site) rotateAddress(v *visit) error {
	id := v.pathID("id")
	if err := s.service.RotateAddress(v.r.Context(), v.actor, id); err != nil {
		return err
	}
	return v.done("/account/devices/"+number(id)+"/subscription", "address_rotated")
}
