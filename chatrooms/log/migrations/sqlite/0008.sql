-- The highest number that an event has ever had, whether it is still there or not: SQLite keeps it for
-- `autoincrement`, also for numbers that were given by the program.
create view log_mark as select seq from sqlite_sequence where name = 'events';
