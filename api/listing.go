package api

import (
	"cmp"
	"slices"
	"strconv"
	"sync"

	"stile/internal/locale"
	"stile/vpn"
)

// maxListings bounds how many encoded lists are kept: a list of 2,000 servers takes 0.8 MB.
const maxListings = 16

// listings keeps the encoded lists by the view and the language they show. Views are made anew when a load changes, so
// what is kept is what of the last seconds was asked for.
type listings struct {
	mu   sync.Mutex
	kept map[listingKey]*listing
}

type listingKey struct {
	view *vpn.View
	lang locale.Lang
}

func newListings() *listings { return &listings{kept: make(map[listingKey]*listing)} }

// of returns the encoded list of a view. Who comes while it is being encoded waits for it.
func (s *listings) of(view *vpn.View, l locale.Lang, t *locale.Texts) *listing {
	key := listingKey{view, l}
	s.mu.Lock()
	kept := s.kept[key]
	if kept == nil {
		if len(s.kept) >= maxListings {
			clear(s.kept)
		}
		kept = &listing{view: view}
		s.kept[key] = kept
	}
	s.mu.Unlock()
	kept.once.Do(func() { kept.encode(l, t) })
	return kept
}

// listing is a list of servers in the bytes of the API, for a device without keys. A device's keys are marks in it.
type listing struct {
	view  *vpn.View
	once  sync.Once
	plain []byte
	// hasKeyAt is where in plain the has_key of a server is, which says false.
	hasKeyAt map[int64]int
	// cuts are the ends of the segments that are compressed each by itself, in plain; the last one is its end.
	cuts   []int
	packed packed
}

// The two values of has_key.
const (
	noKey  = "false"
	hasKey = "true"
)

// segmentServers is how many servers are compressed together: with more of them the marks of a device cost more, with
// fewer the whole list does.
const segmentServers = 64

func (s *listing) encode(l locale.Lang, t *locale.Texts) {
	countries := make(map[string]string)
	s.hasKeyAt = make(map[int64]int, len(s.view.Servers))
	b := make([]byte, 0, 256+384*len(s.view.Servers))
	b = append(b, `{"data":[`...)
	for i := range s.view.Servers {
		server := &s.view.Servers[i]
		if i > 0 {
			b = append(b, ',')
		}
		if i%segmentServers == 0 && i > 0 {
			s.cuts = append(s.cuts, len(b))
		}
		country, ok := countries[server.CountryCode]
		if !ok {
			country = cmp.Or(t.Country(l, server.CountryCode), server.CountryCode)
			countries[server.CountryCode] = country
		}
		b = appendServer(b, server, l, country)
		s.hasKeyAt[server.ID] = len(b) - len(noKey) - 1
	}
	b = append(b, `],"meta":`...)
	b = appendMeta(b, s.view)
	s.plain = append(b, '}')
	s.cuts = append(s.cuts, len(s.plain))
}

// marks are the places in plain, ascending, where has_key is true for a device.
func (s *listing) marks(serverIDs []int64) []int {
	var marks []int
	for _, id := range serverIDs {
		if at, ok := s.hasKeyAt[id]; ok {
			marks = append(marks, at)
		}
	}
	slices.Sort(marks)
	return marks
}

// pieces are the bytes of the list with marks.
func (s *listing) pieces(marks []int) [][]byte {
	pieces := make([][]byte, 0, 2*len(marks)+1)
	from := 0
	for _, at := range marks {
		pieces = append(pieces, s.plain[from:at], []byte(hasKey))
		from = at + len(noKey)
	}
	return append(pieces, s.plain[from:])
}

// appendServer writes what wire.Server would, for a device without a key there.
func appendServer(b []byte, s *vpn.ListedServer, l locale.Lang, country string) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, s.ID, 10)
	b = append(b, `,"name":`...)
	b = appendString(b, s.Name)
	b = append(b, `,"country":`...)
	b = appendString(b, country)
	b = append(b, `,"country_code":`...)
	b = appendString(b, s.CountryCode)
	b = append(b, `,"city":`...)
	b = appendString(b, s.City.In(string(l)))
	b = append(b, `,"latitude":`...)
	b = strconv.AppendFloat(b, s.Latitude, 'f', -1, 64)
	b = append(b, `,"longitude":`...)
	b = strconv.AppendFloat(b, s.Longitude, 'f', -1, 64)
	b = append(b, `,"api_url":`...)
	b = appendString(b, s.PingURL)
	b = append(b, `,"active_connections":`...)
	b = strconv.AppendInt(b, int64(s.ActiveConnections), 10)
	b = append(b, `,"capacity":`...)
	b = strconv.AppendInt(b, int64(s.Capacity), 10)
	b = appendLoad(b, s)
	b = append(b, `,"accessible":`...)
	b = strconv.AppendBool(b, s.LockedReason == "")
	b = append(b, `,"locked_reason":`...)
	if s.LockedReason == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, string(s.LockedReason))
	}
	b = append(b, `,"tier":`...)
	b = strconv.AppendInt(b, int64(s.Tier), 10)
	b = append(b, `,"protocols":[`...)
	for i, p := range s.Protocols {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, string(p))
	}
	return append(b, `],"has_key":`+noKey+`}`...)
}

// appendLoad writes the fields load, score and status, which stand together in both lists.
func appendLoad(b []byte, s *vpn.ListedServer) []byte {
	b = append(b, `,"load":`...)
	b = strconv.AppendInt(b, int64(s.Load), 10)
	b = append(b, `,"score":`...)
	b = strconv.AppendFloat(b, s.Score, 'f', -1, 64)
	b = append(b, `,"status":`...)
	return appendString(b, string(s.Status))
}

// appendMeta writes what wire.ServersMeta would.
func appendMeta(b []byte, v *vpn.View) []byte {
	b = append(b, `{"revision":`...)
	b = appendString(b, v.Revision)
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, int64(len(v.Servers)), 10)
	b = append(b, `,"recommended_server_id":`...)
	if v.RecommendedID == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, v.RecommendedID, 10)
	}
	b = append(b, `,"load_updated_at":`...)
	b = appendTime(b, v.LoadUpdatedAt)
	return append(b, '}')
}

// appendStatuses writes what wire.ServerStatusResponse would.
func appendStatuses(b []byte, v *vpn.View) []byte {
	b = append(b, `{"data":[`...)
	for i := range v.Servers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":`...)
		b = strconv.AppendInt(b, v.Servers[i].ID, 10)
		b = append(b, `,"active_connections":`...)
		b = strconv.AppendInt(b, int64(v.Servers[i].ActiveConnections), 10)
		b = appendLoad(b, &v.Servers[i])
		b = append(b, '}')
	}
	b = append(b, `],"meta":`...)
	b = appendMeta(b, v)
	return append(b, '}')
}

// protocolNames are protocols as the API writes them; never null.
func protocolNames(protocols []vpn.Protocol) []string {
	names := make([]string, len(protocols))
	for i, p := range protocols {
		names[i] = string(p)
	}
	return names
}
