-- insert_delivery --
insert into notification_delivery (subscriber, event_id, order_number, status, attempts, outcome, reason)
values (%(subscriber)s, %(event_id)s, %(number)s, %(status)s, %(attempts)s, %(outcome)s, %(reason)s)
on conflict do nothing
