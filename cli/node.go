package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"stile/node"
	"stile/vpn"
	"stile/wire"
)

// NodeCmd is `stile node`.
type NodeCmd struct {
	Join   NodeJoinCmd   `cmd:"" help:"Make this machine the node of a server, by the token that 'stile server add' prints."`
	Run    NodeRunCmd    `cmd:"" help:"Carry traffic, as the node that this machine joined as."`
	Doctor NodeDoctorCmd `cmd:"" help:"Find out why this machine's node is not online."`
	List   NodeListCmd   `cmd:"" help:"List the nodes of the service: online, behind, load, certificate."`
	Show   NodeShowCmd   `cmd:"" help:"Show a node of the service."`
	Revoke NodeRevokeCmd `cmd:"" help:"Shut a node out at once, until it joins anew."`
}

// nodeDirFlags say where a node on this machine is kept.
type nodeDirFlags struct {
	Data string `default:"${node_data}" help:"Directory of the node: its identity, its keys, the usage it has not reported."`
}

// NodeJoinCmd is `stile node join`.
type NodeJoinCmd struct {
	nodeDirFlags
	nodeRunFlags
	Token   string `arg:"" help:"The token, as 'stile server add' or 'stile server join' printed it."`
	RunNode bool   `name:"run" help:"Go on as 'stile node run' does."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*NodeJoinCmd) Help() string {
	return `Makes a key on this machine, checks that the control plane is the one the token names, and has the key certified.
A token serves one machine, once, within an hour of its making.

Example:

  $ stile node join stilejoin1_CgAB…`
}

// Run joins step by step.
func (c *NodeJoinCmd) Run(ctx context.Context, t *Terminal) error {
	token, err := wire.ParseJoinToken(strings.TrimSpace(c.Token))
	if err != nil {
		return err
	}
	lock, err := lockNode(c.Data)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	steps := &nodeSteps{terminal: t, json: c.JSON}
	_, err = node.Join(ctx, node.JoinConfig{Dir: c.Data, Token: token, Report: steps.add})
	if err := errors.Join(steps.end(err), dataDir(c.Data).handOver()); err != nil {
		return err
	}
	if !c.RunNode {
		t.notef("Start it: stile node run (or the service stile-node), with the same --data if you gave one.\n")
		return nil
	}
	return runNode(ctx, t, c.Data, &c.nodeRunFlags)
}

// NodeDoctorCmd is `stile node doctor`.
type NodeDoctorCmd struct {
	nodeDirFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run makes the steps up to the first that fails.
func (c *NodeDoctorCmd) Run(ctx context.Context, t *Terminal) error {
	steps := &nodeSteps{terminal: t, json: c.JSON}
	return steps.end(node.Examine(ctx, c.Data, nil, steps.add))
}

// nodeSteps shows findings as they come, or together as JSON.
type nodeSteps struct {
	terminal *Terminal
	json     bool
	findings []finding
}

func (s *nodeSteps) add(n node.Finding) {
	f := finding{Check: n.Check, State: "ok", Detail: n.Detail, Remedy: n.Remedy}
	if n.Err != nil {
		f.State = "failed"
	}
	s.findings = append(s.findings, f)
	if !s.json {
		f.print(s.terminal)
	}
}

// end returns the error for the shell; what failed has been shown.
func (s *nodeSteps) end(err error) error {
	if s.json {
		err = errors.Join(s.terminal.printJSON(s.findings), err)
	}
	if err != nil && len(s.findings) > 0 && s.findings[len(s.findings)-1].State == "failed" {
		return errAiling
	}
	return err
}

// NodeRevokeCmd is `stile node revoke`.
type NodeRevokeCmd struct {
	databaseFlags
	ID int64 `arg:"" name:"id" help:"Number of the server whose node it is."`
}

// Run shuts the node out.
func (c *NodeRevokeCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		err := s.RevokeNode(ctx, shell, c.ID)
		if vpn.CodeOf(err) == vpn.CodeNotFound {
			return fmt.Errorf("no node can have joined as server %d: no token was ever made for it", c.ID)
		}
		if err != nil {
			return err
		}
		t.printf("The node of server %d is shut out. To let one in again: stile server join %d\n", c.ID, c.ID)
		return nil
	})
}
