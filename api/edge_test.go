package api

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/internal/locale"
	"stile/vpn"
	"stile/wire"
)

func testTexts(t testing.TB) *locale.Texts {
	t.Helper()
	return must(locale.Load(messageFiles))(t)
}

// Every code that vpn can refuse with has a status, and a message where the body has one.
func TestEveryCodeHasAStatusAndAMessage(t *testing.T) {
	texts := testTexts(t)
	file := must(parser.ParseFile(token.NewFileSet(), "../vpn/error.go", nil, 0))(t)
	var codes []vpn.Code
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, "Code") {
			codes = append(codes, vpn.Code(must(strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value))(t)))
		}
		return true
	})
	if len(codes) < 20 {
		t.Fatalf("only %d codes in vpn/error.go", len(codes))
	}
	isFixed := []vpn.Code{vpn.CodeUnauthenticated, vpn.CodeValidationFailed}
	for _, code := range codes {
		if statuses[code] == 0 {
			t.Errorf("%s has no status", code)
		}
		if !texts.Has(locale.Russian, "error."+string(code)) && !slices.Contains(isFixed, code) {
			t.Errorf("%s has no message", code)
		}
	}
}

func TestTails(t *testing.T) {
	texts := testTexts(t)
	for n, want := range map[int]string{
		1: "(и ещё 1 ошибка)", 2: "(и ещё 2 ошибки)", 3: "(и ещё 3 ошибки)", 5: "(и ещё 5 ошибок)", 11: "(и ещё 11 ошибок)", 21: "(и ещё 21 ошибка)",
	} {
		if got := texts.Count(locale.Russian, "validation.more", n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{1: "(and 1 more error)", 2: "(and 2 more errors)", 5: "(and 5 more errors)"} {
		if got := texts.Count(locale.English, "validation.more", n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer, forwarded, want string
	}{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "198.51.100.1", "192.0.2.1"}, // nobody asked this one
		{"10.0.0.1:1", "", "10.0.0.1"},
		{"10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:1", "203.0.113.7, 198.51.100.1", "198.51.100.1"},           // the left one may be made up
		{"10.0.0.1:1", "203.0.113.7, 198.51.100.1, 10.9.9.9", "198.51.100.1"}, // through two proxies
		{"10.0.0.1:1", "10.1.1.1, 10.2.2.2", "10.1.1.1"},
		{"10.0.0.1:1", "unknown, 10.2.2.2", "10.2.2.2"},
		{"10.0.0.1:1", "garbage", "10.0.0.1"},
		{"10.0.0.1:1", " 198.51.100.1:4711 ", "198.51.100.1"},
		{"[fd00::1]:1", "2001:db8::5", "2001:db8::5"},
		{"[fd00::1%eth0]:1", "[2001:db8::5]:443", "2001:db8::5"},
		{"[::ffff:10.0.0.1]:1", "[2001:db8::5]", "2001:db8::5"},
		{"10.0.0.1:1", strings.Repeat("10.0.0.2,", 40) + "10.0.0.2", "10.0.0.2"},
		{"@", "198.51.100.1", "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := ClientAddress(r, trusted).String(); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

// What is written by hand reads as what encoding/json writes.
func TestHandWrittenJSON(t *testing.T) {
	u := vpn.User{
		ID: 1<<63 - 1, Name: "И\"в\\а\n\t\r\b\f\x01\u2028\u2029н <&> 😀", Email: "a@b", Status: "active", Locale: "ru",
		EmailVerifiedAt: time.UnixMilli(1_700_000_000_999), CreatedAt: time.UnixMilli(1), UpdatedAt: time.Now(),
	}
	for range 2 {
		var want strings.Builder
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(userOf(&u)); err != nil {
			t.Fatal(err)
		}
		if got := string(appendUser(nil, &u)); got+"\n" != want.String() {
			t.Errorf("got  %s\nwant %s", got, want.String())
		}
		u.EmailVerifiedAt = time.Time{}
	}
	server := vpn.ListedServer{Server: vpn.Server{
		ID: 7, Name: "a\"b", CountryCode: "NL", City: vpn.Text{EN: "X"}, Latitude: -0.5, Longitude: 179.99999, PingURL: "https://x/ping?a&b",
		Capacity: 3, Tier: 2, Protocols: []vpn.Protocol{vpn.Shadowsocks, vpn.HTTPS},
	}, Status: vpn.StatusFull, ActiveConnections: 9, Load: 100, Score: 12.25, LockedReason: vpn.CodePlanUpgradeRequired}
	view := &vpn.View{Revision: "00ff00ff", Servers: []vpn.ListedServer{server}, RecommendedID: 7, LoadUpdatedAt: time.UnixMilli(1_700_000_000_999)}
	l := newListings().of(view, locale.English, testTexts(t))
	reason, recommended, at := "plan_upgrade_required", int64(7), wire.Seconds(view.LoadUpdatedAt)
	meta := wire.ServersMeta{Revision: "00ff00ff", Count: 1, RecommendedServerID: &recommended, LoadUpdatedAt: &at}
	var want strings.Builder
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(wire.ServersResponse{Meta: meta, Data: []wire.Server{{
		ID: 7, Name: "a\"b", Country: "Netherlands", CountryCode: "NL", City: "X", Latitude: -0.5, Longitude: 179.99999, APIURL: "https://x/ping?a&b",
		ActiveConnections: 9, Capacity: 3, Load: 100, Score: 12.25, Status: "full", LockedReason: &reason, Tier: 2, Protocols: []string{"shadowsocks", "https"},
	}}}); err != nil {
		t.Fatal(err)
	}
	if err := enc.Encode(wire.ServerStatusResponse{Meta: meta, Data: []wire.ServerStatus{{ID: 7, ActiveConnections: 9, Load: 100, Score: 12.25, Status: "full"}}}); err != nil {
		t.Fatal(err)
	}
	if got := string(l.plain) + "\n" + string(appendStatuses(nil, view)) + "\n"; got != want.String() {
		t.Errorf("got  %s\nwant %s", got, want.String())
	}
}

// An empty list is a list.
func TestEmptyList(t *testing.T) {
	l := newListings().of(&vpn.View{Revision: "x"}, locale.Russian, testTexts(t))
	if want := `{"data":[],"meta":{"revision":"x","count":0,"recommended_server_id":null,"load_updated_at":null}}`; string(l.plain) != want {
		t.Errorf("got %s, want %s", l.plain, want)
	}
	if pieces := l.gzip(l.marks([]int64{1, 2})); len(pieces) != 3 {
		t.Errorf("%d pieces", len(pieces))
	}
}

// What is kept of old views is bounded.
func TestListingsAreBounded(t *testing.T) {
	s, texts := newListings(), testTexts(t)
	for range 5 * maxListings {
		s.of(&vpn.View{Revision: "x"}, locale.Russian, texts)
	}
	if len(s.kept) > maxListings {
		t.Errorf("%d lists are kept", len(s.kept))
	}
	view := &vpn.View{}
	first := s.of(view, locale.Russian, texts)
	if s.of(view, locale.Russian, texts) != first || s.of(view, locale.English, texts) == first {
		t.Error("a list was made twice, or for two languages")
	}
}
