-- More groups than the caches hold, by parts side by side: found again where they came twice.
create table many_groups (k int, v bigint, s text, n numeric(12,2), f double precision, i2 smallint);
insert into many_groups select (i * 7919::bigint) % 250000, i % 1000, 'name-' || (i * 31::bigint) % 150000, (i % 777) / 4.0, i % 50, i % 300 - 150 from generate_series(1, 500000) i;
checkpoint;
select count(*), sum(c), min(c), max(c), sum(s), sum(m), sum(a) from (select k, count(*) c, sum(v) s, max(i2) m, round(avg(i2), 3) a from many_groups group by k) t;
select count(*), sum(c), sum(x) from (select s, k % 3 as r, count(*) c, sum(n) x from many_groups group by s, k % 3) t;
select count(distinct k), count(distinct s), sum(distinct v), avg(distinct i2), count(*) from many_groups;
select i2 % 5 as r, count(distinct k), count(distinct s), sum(distinct i2), count(distinct n) from many_groups group by 1 order by 1;
select count(*), sum(d), sum(e) from (select k, count(distinct v) d, sum(distinct v) e from many_groups group by k) t;
select count(*), sum(sn), min(f), max(f) from (select v, s, min(n) sn, max(f) f from many_groups group by v, s) t;
select k, count(*), sum(i2), avg(i2), string_agg(v::text, ',' order by v) from many_groups where k < 3 group by k order by k;
select sum(i2), avg(i2), sum(k), avg(k), sum(v), avg(v), avg(n), count(i2), min(i2), max(i2) from many_groups;
select sum(i2), avg(i2), count(i2) from many_groups where k < 0;
select count(*) from (select distinct k, s from many_groups) t;
update many_groups set k = null, i2 = null where v % 10 = 3;
select count(*), sum(c), count(k), sum(s) from (select k, count(i2) c, sum(i2) s from many_groups group by k) t;
select count(distinct k), count(distinct i2), avg(distinct i2) from many_groups;
drop table many_groups;
