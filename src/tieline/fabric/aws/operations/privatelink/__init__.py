"""Operations on endpoint services, endpoints, permissions and connections."""
