package web

import (
	"stile/vpn"
)

// diagnosisRow is why a device can't connect to a server, in words.
type diagnosisRow struct {
	vpn.Diagnosis
	vpn.Advice
	// Device and Server are names, "" where the diagnosis is about none.
	Device, Server string
}

// diagnose fills in why a user can't connect.
func (s *Site) diagnose(v *visit, p *userPage) error {
	overall, each, err := s.service.Diagnoses(v.r.Context(), v.actor, p.User.ID)
	if err != nil {
		return err
	}
	devices, servers := make(map[int64]string, len(p.Devices)), map[int64]string{}
	for i := range p.Devices {
		devices[p.Devices[i].ID] = p.Devices[i].Name
	}
	if overall.ServerID != 0 || len(each) > 0 {
		listed, err := s.service.AllServers(v.r.Context(), v.actor)
		if err != nil {
			return err
		}
		for i := range listed {
			servers[listed[i].ID] = listed[i].Name
		}
	}
	row := func(d *vpn.Diagnosis) diagnosisRow {
		return diagnosisRow{*d, d.Advice(), devices[d.DeviceID], servers[d.ServerID]}
	}
	p.Why = row(&overall)
	for i := range each {
		p.WhyEach = append(p.WhyEach, row(&each[i]))
	}
	return nil
}

// historyRows is how many payments and entries of the audit log the page of a user shows.
const historyRows = 10

// history fills in a user's newest payments and entries of the audit log.
func (s *Site) history(v *visit, p *userPage) error {
	payments, err := s.service.Payments(v.r.Context(), v.actor, vpn.PaymentFilter{UserID: p.User.ID, Limit: historyRows})
	if err != nil {
		return err
	}
	if p.Payments, err = s.paymentRows(v, payments); err != nil {
		return err
	}
	entries, err := s.service.AuditPage(v.r.Context(), v.actor, vpn.AuditFilter{UserID: p.User.ID, Limit: historyRows})
	if err != nil {
		return err
	}
	p.Audit, err = s.auditRows(v, entries)
	return err
}
