package cli

import (
	"context"
	"strings"

	"stile/vpn"
	"stile/wire"
)

// KeyCmd is `stile key`.
type KeyCmd struct {
	Server   string `arg:"" optional:"" default:"best" help:"Number, name, city or country of a server, or best."`
	Protocol string `placeholder:"NAME" help:"Protocol of the key: shadowsocks, https or wireguard; by default what suits this device."`
	QR       bool   `name:"qr" help:"Draw the key for a phone's camera."`
	JSON     bool   `name:"json" help:"Print JSON: the key in all its parts."`
}

// Help is shown by --help.
func (*KeyCmd) Help() string {
	return `The key belongs to this device: signing out here ends it, wherever it is used. Whoever has it uses your traffic.

Example:

  $ stile key NL --qr`
}

// Run prints the key.
func (c *KeyCmd) Run(ctx context.Context, t *Terminal) error {
	a, err := openAccount()
	if err != nil {
		return err
	}
	chosen, err := a.choose(ctx, c.Server, c.Protocol)
	if err != nil {
		return err
	}
	key, err := a.Key(ctx, wire.KeyRequest{ServerID: chosen.server.ID, Protocol: c.Protocol})
	if err != nil {
		return a.remedy(err)
	}
	warnUnready(t, &key)
	if c.JSON {
		return t.printJSON(key)
	}
	if c.QR {
		t.notef("%s\n", describe(&chosen.server))
		if err := t.printQR(key.Key); err != nil {
			return err
		}
	}
	t.printf("%s\n", clean(key.Key))
	return nil
}

// warnUnready says when a key may not work at once.
func warnUnready(t *Terminal, key *wire.IssuedKey) {
	if !key.Ready {
		t.notef("The server has not confirmed the key yet; it may need some seconds.\n")
	}
}

// describe names a server for people.
func describe(s *wire.Server) string {
	var place []string
	if s.City != "" {
		place = append(place, clean(s.City))
	}
	if s.CountryCode != vpn.UnknownCountry {
		place = append(place, clean(s.Country))
	}
	if len(place) == 0 {
		return clean(s.Name)
	}
	return clean(s.Name) + " (" + strings.Join(place, ", ") + ")"
}
