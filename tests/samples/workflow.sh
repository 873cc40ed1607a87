# 1. Create template
curl -X POST http://localhost:5000/api/v1/templates \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Welcome Message",
    "content": "Hi {name}! Welcome to our service.",
    "variables": ["name"]
  }'

# 2. Create segment
curl -X POST http://localhost:5000/api/v1/segments \
  -H "Content-Type: application/json" \
  -d '{
    "name": "New Users",
    "filter_criteria": {
      "attribute": "signup_date",
      "operator": "after", 
      "value": "2024-01-01"
    }
  }'

# 3. Create campaign
curl -X POST http://localhost:5000/api/v1/campaigns \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Welcome Campaign",
    "template_id": "template-uuid",
    "segment_id": "segment-uuid"
  }'

# 4. Trigger campaign
curl -X POST http://localhost:5000/api/v1/campaigns/campaign-uuid/trigger

# 5. Monitor performance
curl http://localhost:5000/api/v1/reporting/campaigns/campaign-uuid/summary
