package vpn

// Advice is a diagnosis in words: what is in the way, and what to do about it. Both are whole sentences.
type Advice struct {
	Reason Text
	// Remedy is empty when there is nothing to do.
	Remedy Text
}

// Advice returns the words of a diagnosis, for operators: of its cause where there are some, else of its code.
func (d *Diagnosis) Advice() Advice {
	if words, ok := adviceByCause[d.Cause]; ok {
		return words
	}
	return adviceByCode[d.Code]
}

// adviceByCode are the words of codes; "" is that of what is well.
var adviceByCode = map[Code]Advice{
	"": {Reason: Text{RU: "Подключению ничто не мешает: узел подтвердил ключ.", EN: "Nothing is in the way: the node has confirmed the key."}},
	CodeDeviceNotFound: {
		Text{RU: "На этом устройстве не выполнен вход.", EN: "This device is not signed in."},
		Text{RU: "Пользователю нужно войти на нём заново.", EN: "The user has to sign in on it again."},
	},
	CodeAccountBlocked: {
		Text{RU: "Учётная запись заблокирована.", EN: "The account is blocked."},
		Text{RU: "Разблокируйте её, и прежние ключи заработают.", EN: "Unblock it, and the keys work as before."},
	},
	CodeSubscriptionRequired: {
		Text{RU: "Подписки нет.", EN: "There is no subscription."},
		Text{RU: "Выдайте тариф или пришлите ваучер.", EN: "Give a plan, or send a voucher."},
	},
	CodeSubscriptionExpired: {
		Text{RU: "Подписка истекла, и льготный срок тоже.", EN: "The subscription is over, and so is its grace period."},
		Text{RU: "Продлите её: ключи менять не нужно.", EN: "Extend it: the keys stay the same."},
	},
	CodeTrafficQuotaExceeded: {
		Text{RU: "Трафик по тарифу исчерпан.", EN: "The traffic of the plan is used up."},
		Text{RU: "Дождитесь нового периода или выдайте тариф с большим лимитом.", EN: "Wait for the next period, or give a plan with more."},
	},
	CodeNoDevice: {
		Text{RU: "Ни на одном устройстве не выполнен вход.", EN: "No device is signed in."},
		Text{RU: "Пользователю нужно войти в приложение или расширение.", EN: "The user has to sign in to the app or the extension."},
	},
	CodeServerNotFound: {
		Text{RU: "Такого сервера больше нет.", EN: "There is no such server any more."},
		Text{RU: "Пользователю нужно выбрать другой.", EN: "The user has to choose another."},
	},
	CodePlanUpgradeRequired: {
		Text{RU: "Этот сервер не входит в тариф.", EN: "The plan does not include this server."},
		Text{RU: "Выдайте тариф более высокого уровня или понизьте уровень сервера.", EN: "Give a plan of a higher tier, or lower the server's."},
	},
	CodeProtocolUnavailable: {
		Text{RU: "Сервер не предлагает протокол этого устройства.", EN: "The server does not offer what this device speaks."},
		Text{RU: "Расширению для браузера нужен порт HTTPS у сервера.", EN: "The browser extension needs an HTTPS port at the server."},
	},
	CodeServerMaintenance: {
		Text{RU: "На сервере идут работы.", EN: "The server is under maintenance."},
		Text{RU: "Верните его в работу, когда они закончатся.", EN: "Open it again when that is over."},
	},
	CodeServerFull: {
		Text{RU: "Сервер заполнен, и ключа на нём у устройства ещё нет.", EN: "The server is full, and the device has no key there yet."},
		Text{RU: "Поднимите вместимость или добавьте сервер.", EN: "Raise its capacity, or add a server."},
	},
	CodeServerOffline: {
		Text{RU: "Сервер недоступен.", EN: "The server is offline."},
		Text{RU: "Проверьте, что на нём запущен stile node.", EN: "See that stile node runs on it."},
	},
	CodeKeyPending: {
		Text{RU: "Узел ещё не подтвердил ключ.", EN: "The node has not confirmed the key yet."},
		Text{RU: "Подождите несколько секунд и посмотрите снова.", EN: "Wait some seconds and look again."},
	},
	CodeNoServer: {
		Text{RU: "Ни один сервер тарифа сейчас не принимает подключения.", EN: "No server that the plan includes takes clients now."},
		Text{RU: "Откройте страницу серверов: там видно, каких узлов нет на связи.", EN: "Open the page of servers: it shows which nodes are away."},
	},
}

// adviceByCause are the words of what is behind a code.
var adviceByCause = map[Cause]Advice{
	CauseNoKey: {Reason: Text{
		RU: "Подключению ничто не мешает: ключа ещё нет, устройство получит его при подключении.",
		EN: "Nothing is in the way: there is no key yet, and the device gets one when it connects.",
	}},
	CauseSlots: {
		Text{RU: "На этом устройстве не выполнен вход, и все места заняты.", EN: "This device is not signed in, and all slots are taken."},
		Text{RU: "Отключите лишнее устройство или выдайте тариф с большим числом устройств.", EN: "Sign a device out, or give a plan with more devices."},
	},
	CauseDrained: {
		Text{RU: "Сервер выведен из работы.", EN: "The server is drained."},
		Text{RU: "Верните его в работу, или пусть пользователь выберет другой.", EN: "Open it again, or let the user choose another."},
	},
	CauseRevoked: {
		Text{RU: "Узел этого сервера отозван.", EN: "The node of this server is shut out."},
		Text{RU: "Создайте строку присоединения на странице сервера и выполните её на машине.", EN: "Make a join line on the server's page, and run it on the machine."},
	},
	CauseNotJoined: {
		Text{RU: "К этому серверу ещё не присоединилась машина.", EN: "No machine has joined as this server yet."},
		Text{RU: "Создайте строку присоединения на странице сервера и выполните её на машине.", EN: "Make a join line on the server's page, and run it on the machine."},
	},
	CauseCertificate: {
		Text{RU: "Сертификат узла истёк, поэтому он не выходит на связь.", EN: "The node's certificate is over, so it can't link."},
		Text{RU: "Присоедините узел заново новой строкой.", EN: "Let the node join again by a new line."},
	},
	CauseAway: {
		Text{RU: "Узел сервера не на связи.", EN: "The server's node is away."},
		Text{RU: "Проверьте, что машина включена и stile node на ней работает.", EN: "See that the machine is up and stile node runs on it."},
	},
	CauseRefused: {
		Text{RU: "Узел получил ключ, но не может его применить.", EN: "The node has the key and can't use it."},
		Text{RU: "Смените ключ устройства; если не поможет, обновите узел.", EN: "Rotate the device's key; if that does not help, update the node."},
	},
	CauseBehind: {
		Text{RU: "Узел ещё не подтвердил ключ.", EN: "The node has not confirmed the key yet."},
		Text{RU: "Если через минуту это не прошло, перезапустите stile node на сервере.", EN: "If that is so in a minute still, restart stile node on the server."},
	},
	CauseSuspended: {
		Text{RU: "Ключ приостановлен, хотя доступ уже открыт.", EN: "The key is suspended, though access is open again."},
		Text{RU: "Он включится сам за несколько секунд.", EN: "It follows by itself within seconds."},
	},
}
