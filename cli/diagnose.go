package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stile/store"
	"stile/vpn"
)

// UserDiagnoseCmd is `stile user diagnose`.
type UserDiagnoseCmd struct {
	userRef
	Device int64 `help:"Number of a device; by default the one used last."`
	Server int64 `help:"Number of a server; by default any that would do."`
	JSON   bool  `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*UserDiagnoseCmd) Help() string {
	return `Asks what a device is asked that wants a key, in the same order: the account, the subscription, the traffic, the server,
the plan, the protocol, the node; and then whether the node has confirmed the key. How nodes are is what the running service
wrote down last, some seconds ago. It fails when something is in the way.

Example:

  $ stile user diagnose ann@example.com --server 2`
}

type diagnosisRow struct {
	OK          bool       `json:"ok"`
	Code        string     `json:"code,omitempty"`
	Cause       string     `json:"cause,omitempty"`
	DeviceID    int64      `json:"device_id,omitempty"`
	ServerID    int64      `json:"server_id,omitempty"`
	KeyID       int64      `json:"key_id,omitempty"`
	Reason      string     `json:"reason"`
	Remedy      string     `json:"remedy,omitempty"`
	ConfirmedAt *time.Time `json:"confirmed_at,omitempty"`
}

func diagnosisRowOf(d *vpn.Diagnosis) diagnosisRow {
	words := d.Advice()
	row := diagnosisRow{
		OK: d.Code == "", Code: string(d.Code), Cause: string(d.Cause), DeviceID: d.DeviceID, ServerID: d.ServerID, KeyID: d.KeyID,
		Reason: words.Reason.EN, Remedy: words.Remedy.EN,
	}
	if !d.ConfirmedAt.IsZero() {
		row.ConfirmedAt = &d.ConfirmedAt
	}
	return row
}

// Run says why the user can't connect. It fails when something is in the way.
func (c *UserDiagnoseCmd) Run(ctx context.Context, t *Terminal) error {
	return c.useStore(ctx, func(st *store.Store, _ *vpn.Service) error {
		noted, err := noteNodes(ctx, st)
		if err != nil {
			return err
		}
		s := vpn.NewService(st, noted, newPasswords(), vpn.Config{})
		u, err := s.FindUser(ctx, shell, c.Email)
		if err != nil {
			return unfound(err, "user "+c.Email, "user list")
		}
		d, err := s.Diagnose(ctx, shell, u.ID, c.Device, c.Server)
		if err != nil {
			return err
		}
		row := diagnosisRowOf(&d)
		if c.JSON {
			if err := t.printJSON(row); err != nil || row.OK {
				return err
			}
			return errAiling
		}
		line := row.Reason
		if row.DeviceID != 0 {
			line = fmt.Sprintf("device %d: %s", row.DeviceID, line)
		}
		if row.ServerID != 0 {
			line = fmt.Sprintf("server %d, %s", row.ServerID, line)
		}
		if row.ConfirmedAt != nil {
			line += " It said so at " + row.ConfirmedAt.Format(time.RFC3339) + "."
		}
		if !row.OK {
			return errors.New(line + " " + row.Remedy)
		}
		t.printf("%s\n", line)
		return nil
	})
}

// notedNodes are nodes as the running service wrote them down.
type notedNodes struct {
	awayNodes
	byID map[int64]vpn.NodeReport
	now  time.Time
}

// noteNodes reads how the nodes are.
func noteNodes(ctx context.Context, st *store.Store) (*notedNodes, error) {
	all, err := st.NodeStreams(ctx)
	if err != nil {
		return nil, err
	}
	n := &notedNodes{byID: make(map[int64]vpn.NodeReport, len(all)), now: time.Now()}
	for _, status := range all {
		n.byID[status.NodeID] = vpn.NodeReport{Status: status}
	}
	identities, err := st.NodeIdentities(ctx)
	if err != nil {
		return nil, err
	}
	for i := range identities {
		r := n.byID[identities[i].NodeID]
		r.Identity = identities[i]
		n.byID[r.Identity.NodeID] = r
	}
	return n, nil
}

// isOnline reports whether a node's link is up, as far as is known.
func (n *notedNodes) isOnline(id int64) bool {
	r := n.byID[id]
	return r.State(n.now) == vpn.NodeOnline
}

// WaitApplied implements vpn.Nodes, without waiting.
func (n *notedNodes) WaitApplied(_ context.Context, id, rev int64) bool {
	return n.isOnline(id) && n.byID[id].Status.Applied >= rev
}

// Refuses implements vpn.Nodes.
func (n *notedNodes) Refuses(id, keyID int64) bool { return n.byID[id].Status.Refused.Has(keyID) }

// Live implements vpn.Nodes.
func (n *notedNodes) Live(id int64) vpn.NodeLive {
	s := n.byID[id].Status
	return vpn.NodeLive{IsOnline: n.isOnline(id), ActiveDevices: s.ActiveDevices, At: s.At}
}
