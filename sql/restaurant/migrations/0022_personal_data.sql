-- Where personal data of customers is looked for (pizza/customers/personal_columns.py).

-- An order whose customer was erased has the empty customer_key, which no name has. The index leads
-- retention to the oldest orders that still name somebody. New rows go to its right end, and no change
-- of a status touches it.
create index orders_with_customer on orders (created_at) where customer_key <> '';

create index webhook_delivery_by_order on webhook_delivery (order_number);
create index tracking_request_by_order on tracking_request (order_number);
