package web

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/accesskey"
	"stile/vpn"
)

// fleetPage lists the servers with their nodes.
type fleetPage struct {
	Rows []fleetRow
	Map  *worldMap
	// Unplaced is how many servers are not on the map.
	Unplaced int
	// Skip is how many servers are on pages before this one, More the Skip of the next, 0 = none.
	Skip, More int
	States     []vpn.ServerState
	Form       serverForm
	Now        time.Time
}

// fleetRows is how many servers the list of the console shows at once.
const fleetRows = 250

// serverStates are what an operator may want of a server.
var serverStates = []vpn.ServerState{vpn.ServerActive, vpn.ServerMaintenance, vpn.ServerDrained}

func (s *Site) fleetPage(v *visit) error {
	return s.showFleet(v, http.StatusOK, serverForm{Ports: "8388-8403", Capacity: "0", Tier: "0", Latitude: "0", Longitude: "0", HTTPSPort: "0"})
}

func (s *Site) showFleet(v *visit, status int, form serverForm) error {
	rows, err := s.fleet(v)
	if err != nil {
		return err
	}
	p := fleetPage{Rows: rows, States: serverStates, Form: form, Now: s.service.Now()}
	places := make([]place, len(rows))
	for i := range rows {
		places[i] = rows[i].place()
		if !places[i].isKnown() {
			p.Unplaced++
		}
	}
	p.Map = newWorldMap(places)
	p.Skip, p.More = v.skip("from", len(rows), fleetRows)
	p.Rows = rows[p.Skip:min(p.Skip+fleetRows, len(rows))]
	return v.page(status, "fleet", p)
}

// serverForm is a server as it is typed.
type serverForm struct {
	Name, Country, CityRU, CityEN, Host, Ports, Method, HTTPSPort, PingURL, Capacity, Tier, Latitude, Longitude string
	// IsSomewhere: nobody said yet in which country the server is, and who changes it need not either: an empty Country leaves that so.
	IsSomewhere bool
	Problem     problem
}

func (v *visit) serverForm() serverForm {
	return serverForm{
		Name: v.form("name"), Country: v.form("country"), CityRU: v.form("city_ru"), CityEN: v.form("city_en"), Host: v.form("host"),
		Ports: v.form("ports"), Method: v.form("shadowsocks_method"), HTTPSPort: v.form("https_port"), PingURL: v.form("ping_url"), Capacity: v.form("capacity"),
		Tier: v.form("tier"), Latitude: v.form("latitude"), Longitude: v.form("longitude"),
	}
}

func serverFormOf(s *vpn.Server) serverForm {
	country, isSomewhere := s.CountryCode, s.CountryCode == vpn.UnknownCountry
	if isSomewhere {
		country = ""
	}
	return serverForm{
		Name: s.Name, Country: country, IsSomewhere: isSomewhere, CityRU: s.City.RU, CityEN: s.City.EN, Host: s.Host, Ports: portsText(s.ShadowsocksPort, s.ShadowsocksPorts), Method: s.ShadowsocksMethod, HTTPSPort: strconv.Itoa(s.HTTPSPort),
		PingURL: s.PingURL, Capacity: strconv.Itoa(s.Capacity), Tier: strconv.Itoa(s.Tier), Latitude: fmt.Sprint(s.Latitude), Longitude: fmt.Sprint(s.Longitude),
	}
}

// Methods are those to choose from.
func (f serverForm) Methods() []string { return accesskey.Methods() }

// put writes what was typed over a server. CodeValidationFailed names what is no number.
func (f *serverForm) put(s *vpn.Server) error {
	if f.IsSomewhere = s.CountryCode == vpn.UnknownCountry; f.Country != "" || !f.IsSomewhere {
		s.CountryCode = f.Country
	}
	s.Name, s.City, s.Host, s.PingURL = f.Name, vpn.Text{RU: f.CityRU, EN: f.CityEN}, f.Host, f.PingURL
	s.ShadowsocksMethod = f.Method
	for _, field := range []struct {
		name, text string
		to         *int
	}{{"https_port", f.HTTPSPort, &s.HTTPSPort}, {"capacity", f.Capacity, &s.Capacity}, {"tier", f.Tier, &s.Tier}} {
		if err := readWhole(field.name, field.text, field.to); err != nil {
			return err
		}
	}
	if s.PingURL == "" && s.Host != "" {
		s.PingURL = vpn.PingURL(s.Host, cmp.Or(s.HTTPSPort, 443))
	}
	for _, field := range []struct {
		name, text string
		to         *float64
	}{{"latitude", f.Latitude, &s.Latitude}, {"longitude", f.Longitude, &s.Longitude}} {
		n, err := readNumber(field.text)
		if err != nil {
			return notIn(field.name)
		}
		*field.to = n
	}
	var err error
	s.ShadowsocksPort, s.ShadowsocksPorts, err = readPorts(f.Ports)
	return err
}

// readPorts reads a port, or a range such as 8388-8403.
func readPorts(text string) (port, n int, err error) {
	first, last, isRange := strings.Cut(text, "-")
	port, err = strconv.Atoi(strings.TrimSpace(first))
	to := port
	if err == nil && isRange {
		to, err = strconv.Atoi(strings.TrimSpace(last))
	}
	if err != nil || port < 1 || to < port || to > math.MaxUint16 {
		return 0, 0, notIn("ports")
	}
	return port, to - port + 1, nil
}

// notIn refuses a field's value.
func notIn(field string) error {
	return &vpn.Error{Code: vpn.CodeValidationFailed, Field: field, Rule: "in"}
}

// readWhole reads a whole number that is not negative; "" is 0.
func readWhole(field, text string, to *int) error {
	if text == "" {
		text = "0"
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return notIn(field)
	}
	*to = int(n)
	return nil
}

// readNumber reads a number with a point or a comma; "" is 0.
func readNumber(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", "."), 64)
	if err == nil && (math.IsNaN(n) || math.IsInf(n, 0)) {
		err = strconv.ErrRange
	}
	return n, err
}

// addServer makes a server and shows how its machine joins.
func (s *Site) addServer(v *visit) error {
	form := v.serverForm()
	var server vpn.Server
	err := form.put(&server)
	if err == nil {
		server, err = s.service.AddServer(v.r.Context(), v.actor, server)
	}
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showFleet(v, status, form)
		})
	}
	return s.showJoin(v, http.StatusCreated, server.ID)
}

// serverPage is one server with its node.
type serverPage struct {
	fleetRow
	Form serverForm
	// Join is the line by which a machine joins, shown this once. IsAlone: it cannot, as the service listens for no nodes.
	Join    string
	IsAlone bool
	States  []vpn.ServerState
	Now     time.Time
}

func (s *Site) server(v *visit) error {
	return s.showServer(v, http.StatusOK, v.pathID("id"), serverPage{})
}

func (s *Site) showServer(v *visit, status int, id int64, p serverPage) error {
	row, err := s.fleetRow(v, id)
	if err != nil {
		return err
	}
	p.fleetRow, p.States, p.Now = row, serverStates, s.service.Now()
	if p.Form.Problem.Code == "" {
		p.Form = serverFormOf(&row.Server)
	}
	return v.page(status, "server", &p)
}

// fleetRow returns one server with its node. CodeServerNotFound.
func (s *Site) fleetRow(v *visit, id int64) (fleetRow, error) {
	rows, err := s.fleet(v)
	if err != nil {
		return fleetRow{}, err
	}
	for i := range rows {
		if rows[i].ID == id {
			return rows[i], nil
		}
	}
	return fleetRow{}, vpn.Refusal(vpn.CodeServerNotFound)
}

// joinNode makes the line by which a machine joins as a server's node.
func (s *Site) joinNode(v *visit) error { return s.showJoin(v, http.StatusOK, v.pathID("id")) }

func (s *Site) showJoin(v *visit, status int, id int64) error {
	var p serverPage
	if !mayChange(&v.actor.User, string(vpn.NounNodes)) { // also where there is no line to make
		return vpn.Refusal(vpn.CodeForbidden)
	}
	if s.joinLine != nil {
		var err error
		if p.Join, err = s.joinLine(v.r.Context(), v.actor, id); err != nil {
			return err
		}
	}
	p.IsAlone = p.Join == ""
	return s.showServer(v, status, id, p)
}

// updateServer replaces a server's values but for its state.
func (s *Site) updateServer(v *visit) error {
	form := v.serverForm()
	return s.changeServer(v, "server_saved", &form, form.put)
}

func (s *Site) setServerState(v *visit) error {
	return s.changeServer(v, "server_saved", nil, func(server *vpn.Server) error {
		server.State = vpn.ServerState(v.form("state"))
		if server.State == "" {
			return notIn("state")
		}
		return nil
	})
}

// changeServer saves a server after a change. form is what is shown again, nil where nothing is typed.
func (s *Site) changeServer(v *visit, done string, form *serverForm, change func(*vpn.Server) error) error {
	row, err := s.fleetRow(v, v.pathID("id"))
	if err != nil {
		return err
	}
	server := row.Server
	if err = change(&server); err == nil {
		err = s.service.UpdateServer(v.r.Context(), v.actor, server)
	}
	switch {
	case err != nil && form == nil:
		return err
	case err != nil:
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showServer(v, status, server.ID, serverPage{Form: *form})
		})
	}
	return v.done("/admin/servers/"+number(server.ID), done)
}

func (s *Site) revokeNode(v *visit) error {
	id := v.pathID("id")
	if err := s.service.RevokeNode(v.r.Context(), v.actor, id); err != nil {
		return err
	}
	return v.done("/admin/servers/"+number(id), "node_revoked")
}

func (s *Site) removeServer(v *visit) error {
	if err := s.service.RemoveServer(v.r.Context(), v.actor, v.pathID("id")); err != nil {
		return err
	}
	return v.done("/admin/servers", "server_removed")
}
