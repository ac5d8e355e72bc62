package web

import (
	"html/template"
	"net/url"
	"slices"

	"stile/vpn"
)

// maxPinged bounds how many origins the list of servers may time: each is named in a header.
const maxPinged = 40

// serversPage lists the servers, best first.
type serversPage struct {
	List   template.HTML // with the map; "" when there are no servers
	Access vpn.Access
}

func (s *Site) servers(v *visit) error {
	o, err := s.service.Overview(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	var origins []string
	for i := range o.View.Servers {
		u, err := url.Parse(o.View.Servers[i].PingURL)
		if err != nil || u.Host == "" || len(origins) == maxPinged {
			continue
		}
		if origin := u.Scheme + "://" + u.Host; !slices.Contains(origins, origin) && isOrigin(origin) {
			origins = append(origins, origin)
		}
	}
	v.pingable(origins)
	p := serversPage{Access: o.Access}
	if len(o.View.Servers) > 0 {
		if p.List, err = v.fragment("servers", fragmentKey{name: "server list", view: o.View}, serverList{o.View, newWorldMap(placesOf(o.View))}); err != nil {
			return err
		}
	}
	return v.page(200, "servers", p)
}

// serverList is the servers of a view, in words and on a map.
type serverList struct {
	*vpn.View
	Map *worldMap
}

// placesOf are the servers of a view for the map.
func placesOf(view *vpn.View) []place {
	places := make([]place, len(view.Servers))
	for i := range view.Servers {
		l := &view.Servers[i]
		p := place{name: l.Name, latitude: l.Latitude, longitude: l.Longitude, state: "good", isBest: l.ID == view.RecommendedID}
		switch {
		case l.LockedReason != "":
			p.state = "idle"
		case l.Status != vpn.StatusOnline:
			p.state = "busy"
		}
		places[i] = p
	}
	return places
}

// isOrigin reports whether an origin can stand in a header as it is.
func isOrigin(origin string) bool {
	for _, c := range []byte(origin) {
		if c <= ' ' || c == ';' || c == ',' || c == '\'' || c >= 0x7f {
			return false
		}
	}
	return true
}
